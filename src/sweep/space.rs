//! The space of a sweep: which configurations there are, and which are drawn.

use super::axis::{Axis, Value};
use hallux_channel::Seed;

/// One value for each axis; none where the axis' condition does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// By axis, in the order of the axes.
    pub values: Vec<Option<Value>>,
}

/// Most configurations of a grid.
pub const MOST: usize = 100_000;

/// All configurations, the last axis running fastest; none if there are more than [`MOST`].
pub fn grid(axes: &[Axis]) -> Option<Vec<Configuration>> {
    let mut all = vec![Configuration { values: vec![] }];
    for axis in axes {
        let mut longer = vec![];
        for configuration in &all {
            let exists = axis.when.iter().all(|(key, allowed)| {
                let other = axes.iter().position(|axis| axis.key == *key);
                let value = other.and_then(|other| configuration.values[other].as_ref());
                value.is_some_and(|value| allowed.contains(value))
            });
            let values: Vec<Option<&Value>> = match exists {
                true => axis.values.iter().map(Some).collect(),
                false => vec![None],
            };
            for value in values {
                let mut next = configuration.clone();
                next.values.push(value.cloned());
                longer.push(next);
            }
            if longer.len() > MOST {
                return None;
            }
        }
        all = longer;
    }
    Some(all)
}

/// `count` of `all`, drawn without repetition and kept in their order.
pub fn draw(all: Vec<Configuration>, count: usize, seed: u64) -> Vec<Configuration> {
    if count >= all.len() {
        return all;
    }
    let mut random = Seed(seed).stream("sweep");
    let mut indices: Vec<usize> = (0..all.len()).collect();
    for drawn in 0..count {
        let left = (indices.len() - drawn) as u64;
        indices.swap(drawn, drawn + random.below(left) as usize);
    }
    indices.truncate(count);
    indices.sort_unstable();
    indices
        .into_iter()
        .map(|index| all[index].clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(key: &str, values: &[&str], when: &[(&str, &str)]) -> Axis {
        let value = |text: &&str| Value((*text).to_owned());
        Axis {
            key: key.into(),
            values: values.iter().map(value).collect(),
            when: when
                .iter()
                .map(|(key, text)| ((*key).to_owned(), vec![value(text)]))
                .collect(),
        }
    }

    fn text(all: &[Configuration]) -> Vec<String> {
        let one = |configuration: &Configuration| {
            let values = configuration.values.iter();
            let words: Vec<&str> = values
                .map(|value| value.as_ref().map_or("-", |value| value.0.as_str()))
                .collect();
            words.join(" ")
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn an_axis_exists_only_where_its_condition_holds() {
        let axes = [
            axis("peer.kind", &["smoltcp", "toe"], &[]),
            axis("peer.buffer", &["1", "2"], &[("peer.kind", "smoltcp")]),
            axis("app.size", &["8", "9"], &[]),
        ];
        assert_eq!(
            text(&grid(&axes).unwrap()),
            [
                "smoltcp 1 8",
                "smoltcp 1 9",
                "smoltcp 2 8",
                "smoltcp 2 9",
                "toe - 8",
                "toe - 9"
            ]
        );
    }

    #[test]
    fn a_draw_repeats_with_its_seed_and_never_repeats_a_point() {
        let values: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let all = grid(&[axis("a", &values, &[]), axis("b", &values, &[])]).unwrap();
        let first = draw(all.clone(), 40, 7);
        assert_eq!(first, draw(all.clone(), 40, 7));
        assert_ne!(first, draw(all.clone(), 40, 8));
        let mut words = text(&first);
        words.sort();
        words.dedup();
        assert_eq!(words.len(), 40);
        assert_eq!(draw(all.clone(), 9_999, 1).len(), 2_500);
    }

    #[test]
    fn a_space_that_nobody_can_run_is_refused() {
        let values: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let axes = ["a", "b", "c"].map(|key| axis(key, &values, &[]));
        assert_eq!(grid(&axes), None);
    }
}
