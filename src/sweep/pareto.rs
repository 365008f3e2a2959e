//! Which points are worth building: those that no other is better than in everything.

/// Whether costs `a` are nowhere worse than `b` and somewhere better.
fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// The rank of every point: 0 on the Pareto front, 1 on the front that is left without it,
/// and so on. Costs: less is better; all points have the same number of them.
pub fn ranks(costs: &[Vec<f64>]) -> Vec<usize> {
    let mut rank = vec![usize::MAX; costs.len()];
    let mut left: Vec<usize> = (0..costs.len()).collect();
    for level in 0.. {
        if left.is_empty() {
            break;
        }
        let (front, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|&&point| {
            !left
                .iter()
                .any(|&other| dominates(&costs[other], &costs[point]))
        });
        // A cost that is no number is dominated by nothing and dominates nothing.
        debug_assert!(!front.is_empty());
        for &point in &front {
            rank[point] = level;
        }
        left = rest;
    }
    rank
}

/// The `keep` best points: by rank, then by the sum of normalised costs, then by index, so
/// that equal points are told apart the same way every time. Returned in their order.
pub fn best(costs: &[Vec<f64>], keep: usize) -> Vec<usize> {
    let ranks = ranks(costs);
    let spans: Vec<(f64, f64)> = (0..costs.first().map_or(0, Vec::len))
        .map(|column| {
            let values = costs.iter().map(|costs| costs[column]);
            let low = values.clone().fold(f64::INFINITY, f64::min);
            let high = values.fold(f64::NEG_INFINITY, f64::max);
            (low, high - low)
        })
        .collect();
    let total = |point: usize| -> f64 {
        let scaled = costs[point].iter().zip(&spans);
        scaled
            .map(|(cost, (low, span))| match *span > 0.0 {
                true => (cost - low) / span,
                false => 0.0,
            })
            .sum()
    };
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| {
        ranks[a]
            .cmp(&ranks[b])
            .then(total(a).total_cmp(&total(b)))
            .then(a.cmp(&b))
    });
    order.truncate(keep);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fronts_peel_off() {
        let costs = [[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [3.0, 3.0], [5.0, 5.0]];
        let costs: Vec<Vec<f64>> = costs.iter().map(|costs| costs.to_vec()).collect();
        assert_eq!(ranks(&costs), [0, 0, 0, 1, 2]);
        assert_eq!(best(&costs, 3), [0, 1, 2]);
        assert_eq!(best(&costs, 4), [0, 1, 2, 3]);
        assert_eq!(ranks(&[]), Vec::<usize>::new());
    }

    proptest! {
        /// Nobody on the front is dominated; everybody behind it is.
        #[test]
        fn the_front_is_what_nothing_dominates(
            points in prop::collection::vec(prop::collection::vec(0_u8..6, 3), 1..40)
        ) {
            let costs: Vec<Vec<f64>> = points
                .iter()
                .map(|point| point.iter().map(|&cost| f64::from(cost)).collect())
                .collect();
            for (point, rank) in ranks(&costs).into_iter().enumerate() {
                let dominated = costs.iter().any(|other| dominates(other, &costs[point]));
                prop_assert_eq!(dominated, rank > 0);
            }
        }
    }
}
