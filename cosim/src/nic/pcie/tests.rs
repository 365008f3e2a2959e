use super::*;
use crate::nic::bits::MAX_BUS_BYTES;
use hallux_channel::Seed;

/// Bytes of a beat.
const BUS_BYTES: usize = 64;

fn link() -> PcieLink {
    PcieLink::new(LinkParameters::default(), BUS_BYTES, Seed(1).stream("root")).unwrap()
}

fn beat(kind: u8, address: u64, bytes: u16, tag: u8) -> UpBeat {
    UpBeat {
        kind,
        address,
        bytes,
        tag,
        vector: 0,
        data: [0xa5; MAX_BUS_BYTES],
        last: true,
    }
}

fn ns(ns: u64) -> Time {
    Time::from_ns(ns)
}

fn sent(link: &mut PcieLink) -> Vec<(Time, Message)> {
    std::iter::from_fn(|| link.take_outgoing()).collect()
}

#[test]
fn requests_leave_in_order_with_their_wire_time() {
    let mut link = link();
    let first = UpBeat {
        last: false,
        ..beat(WRITE, 1 << 40, 128, 0)
    };
    link.accept(ns(0), &first).unwrap();
    link.accept(
        ns(4),
        &UpBeat {
            last: true,
            ..first
        },
    )
    .unwrap();
    link.accept(
        ns(8),
        &UpBeat {
            vector: 3,
            ..beat(MSIX, 0, 0, 0)
        },
    )
    .unwrap();
    link.accept(ns(12), &beat(READ, 1 << 40, 512, 7)).unwrap();
    let sent = sent(&mut link);
    let kinds: Vec<_> = sent.iter().map(|(_, message)| message.kind()).collect();
    assert_eq!(kinds, ["DMA write", "interrupt", "DMA read"]);
    // 152 bytes at 30.56 GB/s from 4 ns on.
    assert_eq!(sent[0].0, ns(4) + link.parameters.wire_time(152));
    assert!(sent.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!(link.traffic().bytes()["mwr_up"], 152);
    assert_eq!(link.traffic().bytes()["msix_up"], 24);
    assert_eq!(link.traffic().bytes()["mrd_up"], 24);
}

#[test]
fn rules_of_the_link_are_enforced() {
    let errors: Vec<_> = [
        beat(WRITE, 0, 257, 0),
        beat(WRITE, 0, 0, 0),
        beat(WRITE, 4090, 7, 0),
        beat(READ, 4000, 128, 0),
        beat(READ, 0, 513, 0),
        beat(WRITE, 0, 65, 0),
        beat(COMPLETION, 0, 8, 9),
    ]
    .iter()
    .map(|beat| link().accept(ns(0), beat).unwrap_err())
    .collect();
    assert!(matches!(
        errors[0],
        Error::Size {
            bytes: 257,
            limit: 256,
            ..
        }
    ));
    assert!(matches!(errors[1], Error::Size { bytes: 0, .. }));
    assert!(matches!(errors[2], Error::Page { address: 4090, .. }));
    assert!(matches!(errors[3], Error::Page { .. }));
    assert!(matches!(errors[4], Error::Size { limit: 512, .. }));
    assert!(matches!(
        errors[5],
        Error::Beats {
            carried: 64,
            last: true,
            ..
        }
    ));
    assert!(matches!(errors[6], Error::UnknownMmio { tag: 9 }));

    let mut link = link();
    link.accept(ns(0), &beat(READ, 0, 64, 4)).unwrap();
    assert!(matches!(
        link.accept(ns(4), &beat(READ, 64, 64, 4)),
        Err(Error::Tag { tag: 4, .. })
    ));
    let open = UpBeat {
        last: false,
        ..beat(WRITE, 0, 128, 0)
    };
    link.accept(ns(8), &open).unwrap();
    assert!(matches!(
        link.accept(ns(12), &beat(READ, 0, 64, 5)),
        Err(Error::Interleaved { .. })
    ));
}

#[test]
fn a_completion_arrives_in_full_beats_after_the_root_latency() {
    let mut link = link();
    let address = (1 << 40) + 0x10;
    link.accept(ns(0), &beat(READ, address, 300, 4)).unwrap();
    let data: Vec<u8> = (0..300).map(|i| i as u8).collect();
    link.receive(
        ns(100),
        Message::DmaReadCompletion {
            req_id: 4,
            data: data.clone().into(),
        },
    )
    .unwrap();
    let mut collected = vec![];
    let mut first = None;
    for edge in (100..1000).step_by(4) {
        link.edge(ns(edge)).unwrap();
        if let Some(beat) = link.completion(ns(edge)) {
            first.get_or_insert(edge);
            assert_eq!(usize::from(beat.offset), collected.len());
            assert!(beat.last || usize::from(beat.bytes) == BUS_BYTES);
            collected.extend_from_slice(&beat.data[..usize::from(beat.bytes)]);
            assert_eq!(beat.last, collected.len() == 300);
        }
    }
    assert_eq!(collected, data);
    assert!((400..480).contains(&first.unwrap()), "{first:?}");
    // 240 and 60 bytes behind 20 bytes of header and framing each.
    assert_eq!(link.traffic().bytes()["cpld_down"], 340);
    assert_eq!((link.reads_in_flight(), link.next_due()), (0, Time::NEVER));
}

#[test]
fn completions_of_different_reads_interleave_and_keep_their_own_order() {
    let mut link = link();
    for tag in 0..32 {
        link.accept(ns(0), &beat(READ, u64::from(tag) * 4096, 512, tag))
            .unwrap();
    }
    for tag in 0..32 {
        let message = Message::DmaReadCompletion {
            req_id: tag,
            data: vec![tag as u8; 512].into(),
        };
        link.receive(ns(200), message).unwrap();
    }
    let mut next = [0; 32];
    let mut order = vec![];
    for edge in (200..4000).step_by(4) {
        link.edge(ns(edge)).unwrap();
        if let Some(beat) = link.completion(ns(edge)) {
            assert_eq!(beat.offset, next[usize::from(beat.tag)]);
            next[usize::from(beat.tag)] += BUS_BYTES as u16;
            order.push(beat.tag);
        }
    }
    assert_eq!(order.len(), 32 * 8);
    order.dedup();
    assert!(order.len() > 32, "no interleaving: {order:?}");
}

#[test]
fn a_read_without_credit_lets_writes_pass_and_is_passed_by_nothing_before_it() {
    let parameters = LinkParameters {
        non_posted_headers: 1,
        ..LinkParameters::default()
    };
    let mut link = PcieLink::new(parameters, BUS_BYTES, Seed(1).stream("root")).unwrap();
    link.accept(ns(0), &beat(READ, 0, 64, 0)).unwrap();
    link.accept(ns(4), &beat(READ, 0, 64, 1)).unwrap();
    link.accept(ns(8), &beat(WRITE, 0, 64, 0)).unwrap();
    let kinds: Vec<_> = sent(&mut link)
        .iter()
        .map(|(_, message)| message.kind())
        .collect();
    assert_eq!(kinds, ["DMA read", "DMA write"]);
    let due = link.next_due();
    assert!(due > ns(250) && due < ns(260), "{due}");
    link.edge(due).unwrap();
    assert_eq!(sent(&mut link).len(), 1);
    // Nothing is due but the timeouts of the reads.
    assert!(link.next_due() >= link.parameters.completion_timeout);
}

#[test]
fn posted_credits_bound_the_rate() {
    let parameters = LinkParameters {
        posted_headers: 4,
        ..LinkParameters::default()
    };
    let mut link = PcieLink::new(parameters, BUS_BYTES, Seed(1).stream("root")).unwrap();
    for _ in 0..8 {
        link.accept(ns(0), &beat(WRITE, 0, 64, 0)).unwrap();
    }
    let times: Vec<_> = sent(&mut link).iter().map(|(at, _)| at.ns()).collect();
    assert!(times[3] < 20 && times[4] > 250, "{times:?}");
    assert!(!link.ready(ns(0)) && link.ready(ns(260)));
}

#[test]
fn host_accesses_become_words() {
    let mut link = link();
    let write = Message::MmioWrite {
        req_id: 5,
        bar: 0,
        offset: 0x1c,
        data: vec![1, 2, 3, 4, 5, 6, 7, 8].into(),
        posted: false,
    };
    link.receive(ns(0), write).unwrap();
    link.receive(
        ns(0),
        Message::MmioRead {
            req_id: 6,
            bar: 0,
            offset: 0x0c,
            len: 8,
        },
    )
    .unwrap();
    link.receive(
        ns(0),
        Message::MmioRead {
            req_id: 7,
            bar: 2,
            offset: 0,
            len: 4,
        },
    )
    .unwrap();
    let mut seen = vec![];
    for edge in (0..100).step_by(4) {
        link.edge(ns(edge)).unwrap();
        if let Some(word) = link.mmio(ns(edge)) {
            link.mmio_taken(ns(edge), word);
            if !word.write {
                let mut up = beat(COMPLETION, 0, 8, word.tag);
                up.data[..8].copy_from_slice(
                    &(0x1111_1111_2222_2222 + u64::from(word.address)).to_le_bytes(),
                );
                link.accept(ns(edge + 4), &up).unwrap();
            }
            seen.push((word.write, word.address, word.data, word.strobe));
        }
    }
    assert_eq!(
        seen,
        [
            (true, 0x18, 0x0403_0201 << 32, 0xf0),
            (true, 0x20, 0x0807_0605, 0x0f),
            (false, 0x08, 0, 0),
            (false, 0x10, 0, 0),
        ]
    );
    let sent: Vec<_> = sent(&mut link)
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    assert_eq!(sent[0], Message::MmioWriteCompletion { req_id: 5 });
    let data = vec![0x11, 0x11, 0x11, 0x11, 0x32, 0x22, 0x22, 0x22];
    assert_eq!(
        sent[1],
        Message::MmioReadCompletion {
            req_id: 6,
            data: data.into()
        }
    );
    assert_eq!(
        sent[2],
        Message::MmioReadCompletion {
            req_id: 7,
            data: vec![0xff; 4].into()
        }
    );
}

#[test]
fn impossible_parameters_are_refused() {
    let wrong = LinkParameters {
        lanes: 3,
        ..LinkParameters::default()
    };
    let error = PcieLink::new(wrong, BUS_BYTES, Seed(1).stream("root")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PCIe lanes = 3 is impossible; 1, 2, 4, 8 or 16 is"
    );
}

/// A link whose reads are asked again after 1 us, once.
fn impatient() -> PcieLink {
    let parameters = LinkParameters {
        completion_timeout: ns(1_000),
        completion_retries: 1,
        vital_retries: 1,
        ..LinkParameters::default()
    };
    PcieLink::new(parameters, BUS_BYTES, Seed(1).stream("root")).unwrap()
}

/// Numbers of the reads that have left.
fn reads(link: &mut PcieLink) -> Vec<u64> {
    let number = |(_, message)| match message {
        Message::DmaRead { req_id, .. } => req_id,
        other => panic!("{other:?}"),
    };
    sent(link).into_iter().map(number).collect()
}

fn answer(req_id: u64) -> Message {
    let data = Bytes::from_static(&[7; 64]);
    Message::DmaReadCompletion { req_id, data }
}

#[test]
fn an_unanswered_read_is_asked_again_and_the_late_answer_is_known() {
    let mut link = impatient();
    link.accept(ns(0), &beat(READ, 4096, 64, 9)).unwrap();
    assert_eq!(reads(&mut link), [9]);
    let due = link.next_due();
    assert!((ns(1_000)..ns(1_100)).contains(&due), "{due}");
    link.edge(Time::from_ps(due.ps() - 1)).unwrap();
    assert_eq!(reads(&mut link), Vec::<u64>::new());
    link.edge(due).unwrap();
    let again = reads(&mut link);
    assert_eq!((again.len(), again[0] as u8), (1, 9));
    assert_ne!(again[0], 9, "it can be told from the first");
    // The answer to the first comes after all, then that to the second, of which one is used.
    link.receive(due + ns(100), answer(9)).unwrap();
    link.receive(due + ns(200), answer(again[0])).unwrap();
    assert_eq!(link.timeouts(), (1, 1));
    let mut beats = 0;
    for edge in (0..1_000).map(|n| due + ns(4 * n)) {
        link.edge(edge).unwrap();
        beats += u32::from(link.completion(edge).is_some());
    }
    assert_eq!((beats, link.reads_in_flight()), (1, 0));
    assert!(matches!(
        link.receive(due + ns(9_000), answer(again[0])),
        Err(Error::Completion { .. })
    ));
    assert!(link.next_due().is_never());
}

#[test]
fn a_read_of_payload_that_is_never_answered_comes_back_poisoned() {
    let mut link = impatient().giving_up(64);
    link.accept(ns(0), &beat(READ, 0xabc0, 72, 9)).unwrap();
    let first = reads(&mut link);
    link.edge(link.next_due()).unwrap();
    let again = reads(&mut link);
    let due = link.next_due();
    link.edge(due).unwrap();
    let whole = link.completion(due).unwrap();
    assert!(!whole.poisoned && !whole.last && whole.data[..64] == [0xff; 64]);
    let rest = link.completion(due).unwrap();
    assert!(rest.poisoned && rest.last);
    assert_eq!((rest.tag, rest.offset, rest.bytes), (9, 64, 8));
    assert_eq!((link.given_up(), link.reads_in_flight()), (1, 0));
    assert_eq!(reads(&mut link), Vec::<u64>::new());
    // The tag serves again, and what answers come are late.
    link.accept(due + ns(4), &beat(READ, 0xabc0, 64, 9))
        .unwrap();
    for number in [first[0], again[0]] {
        link.receive(due + ns(8), answer(number)).unwrap();
    }
    assert_eq!((link.timeouts(), link.reads_in_flight()), ((1, 2), 1));
}

#[test]
fn a_read_that_is_never_answered_ends_with_its_name() {
    let mut link = impatient();
    link.accept(ns(0), &beat(READ, 0xabc0, 64, 9)).unwrap();
    let due = link.next_due();
    link.edge(due).unwrap();
    let error = link.edge(due + ns(1_100)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                tag: 9,
                address: 0xabc0,
                bytes: 64,
                times: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("0xabc0"), "{error}");
}
