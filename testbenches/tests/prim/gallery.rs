//! All primitives side by side in one module: one Verilated model serves every bench, and
//! one run of synthesis checks what is inferred.

use hallux_hdl::emit::{Design, Options, emit};
use hallux_hdl::prelude::*;
use hallux_testbenches::Bench;
use std::sync::OnceLock;

/// A word of the streams.
pub type Word = Bits<40>;
/// Beats of the aligner.
pub type Beat = ByteBeat<128, 5>;

/// Declares a block of primitives and wires ports of the block to theirs:
/// `name: type = value, [clk and rst as it has them], { port: type = its port; … }`.
macro_rules! gallery {
    ($(
        $inner:ident: $type:ty = $make:expr, [$($common:ident)*], {
            $($port:ident: $port_type:ty = $field:ident $([$number:literal])?;)*
        }
    )*) => {
        #[derive(LogicBlock)]
        pub struct Gallery {
            pub clk: Signal<In, Clock>,
            pub rst: Signal<In, Bit>,
            $($(pub $port: $port_type,)* $inner: $type,)*
        }

        impl Gallery {
            pub fn new() -> Self {
                Self {
                    clk: Default::default(),
                    rst: Default::default(),
                    $($($port: Default::default(),)* $inner: $make,)*
                }
            }
        }

        impl Logic for Gallery {
            #[hdl]
            fn update(&mut self) {
                $(
                    $(self.$inner.$common.next = self.$common.val();)*
                    $(self.$port.link(&mut self.$inner.$field $([$number])?);)*
                )*
            }
        }
    };
}

gallery! {
    bypass: StreamRegister<Word> = StreamRegister::new(RegisterMode::Bypass), [clk rst], {
        bypass_s: StreamSink<Word> = s;
        bypass_m: StreamSource<Word> = m;
    }
    early: StreamRegister<Word> = StreamRegister::new(RegisterMode::Ready), [clk rst], {
        early_s: StreamSink<Word> = s;
        early_m: StreamSource<Word> = m;
    }
    half: StreamRegister<Word> = StreamRegister::new(RegisterMode::Half), [clk rst], {
        half_s: StreamSink<Word> = s;
        half_m: StreamSource<Word> = m;
    }
    skid: StreamRegister<Word> = StreamRegister::new(RegisterMode::Skid), [clk rst], {
        skid_s: StreamSink<Word> = s;
        skid_m: StreamSource<Word> = m;
    }
    direct: Fifo<Word> = Fifo::new(6).with_almost_full(2).with_output(FifoOutput::Memory), [clk rst], {
        direct_s: StreamSink<Word> = s;
        direct_m: StreamSource<Word> = m;
        direct_level: Signal<Out, Bits<16>> = level;
        direct_almost_full: Signal<Out, Bit> = almost_full;
    }
    read: Fifo<Word> = Fifo::new(9).with_almost_full(3), [clk rst], {
        read_s: StreamSink<Word> = s;
        read_m: StreamSource<Word> = m;
        read_level: Signal<Out, Bits<16>> = level;
        read_almost_full: Signal<Out, Bit> = almost_full;
    }
    registered: Fifo<Word> = Fifo::new(1026).with_almost_full(1019).with_output(FifoOutput::Registered), [clk rst], {
        registered_s: StreamSink<Word> = s;
        registered_m: StreamSource<Word> = m;
        registered_level: Signal<Out, Bits<16>> = level;
        registered_almost_full: Signal<Out, Bit> = almost_full;
    }
    mux: StreamMux<Word> = StreamMux::new(3), [], {
        mux_select: Signal<In, Bits<4>> = select;
        mux_s0: StreamSink<Word> = s[0];
        mux_s1: StreamSink<Word> = s[1];
        mux_s2: StreamSink<Word> = s[2];
        mux_m: StreamSource<Word> = m;
    }
    demux: StreamDemux<Word> = StreamDemux::new(3), [], {
        demux_select: Signal<In, Bits<4>> = select;
        demux_s: StreamSink<Word> = s;
        demux_m0: StreamSource<Word> = m[0];
        demux_m1: StreamSource<Word> = m[1];
        demux_m2: StreamSource<Word> = m[2];
    }
    merge: StreamMerge<Word> = StreamMerge::new(4), [clk rst], {
        merge_s0: StreamSink<Word> = s[0];
        merge_s1: StreamSink<Word> = s[1];
        merge_s2: StreamSink<Word> = s[2];
        merge_s3: StreamSink<Word> = s[3];
        merge_m: StreamSource<Word> = m;
        merge_index: Signal<Out, Bits<4>> = index;
    }
    aligner: ByteAligner<128, 4, 5> = ByteAligner::default(), [clk rst], {
        aligner_s: StreamSink<Beat> = s;
        aligner_offset: Signal<In, Bits<4>> = offset;
        aligner_m: StreamSource<Beat> = m;
    }
    reorder: Reorder<Word> = Reorder::new(16), [clk rst], {
        reorder_s: StreamSink<Word> = s;
        reorder_ticket: Signal<In, Bits<16>> = ticket;
        reorder_skip: Signal<In, Bit> = skip;
        reorder_m: StreamSource<Word> = m;
        reorder_idle: Signal<Out, Bit> = idle;
    }
    rotator: ByteRotator<256, 5> = ByteRotator::default(), [clk], {
        rotator_enable: Signal<In, Bit> = enable;
        rotator_data: Signal<In, Bits<256>> = data;
        rotator_bytes: Signal<In, Bits<5>> = bytes;
        rotator_rotated: Signal<Out, Bits<256>> = rotated;
    }
    checksum: ChecksumBeat<256, 32, 20> = ChecksumBeat::default(), [clk], {
        checksum_data: Signal<In, Bits<256>> = data;
        checksum_keep: Signal<In, Bits<32>> = keep;
        checksum_sum: Signal<Out, Bits<20>> = sum;
    }
    crc: Crc32<72> = Crc32::default(), [], {
        crc_key: Signal<In, Bits<72>> = key;
        crc_crc: Signal<Out, Bits<32>> = crc;
    }
    toeplitz: Toeplitz<96> = Toeplitz::default(), [], {
        toeplitz_key: Signal<In, Bits<96>> = key;
        toeplitz_hash: Signal<Out, Bits<32>> = hash;
    }
    round_robin: RoundRobin = RoundRobin::new(11), [clk rst], {
        round_robin_request: Signal<In, Bits<16>> = request;
        round_robin_advance: Signal<In, Bit> = advance;
        round_robin_index: Signal<Out, Bits<4>> = index;
        round_robin_grant: Signal<Out, Bits<16>> = grant;
        round_robin_granted: Signal<Out, Bit> = granted;
    }
    priority: PriorityArbiter = PriorityArbiter::new(11), [], {
        priority_request: Signal<In, Bits<16>> = request;
        priority_grant: Signal<Out, Bits<16>> = grant;
        priority_index: Signal<Out, Bits<4>> = index;
        priority_granted: Signal<Out, Bit> = granted;
    }
    simple: Ram<Bits<36>, 10> = Ram::new(1024), [clk], {
        simple_write: Signal<In, Bit> = write_enable;
        simple_write_address: Signal<In, Bits<10>> = write_address;
        simple_write_data: Signal<In, Bits<36>> = write_data;
        simple_read_address: Signal<In, Bits<10>> = read_address;
        simple_read_data: Signal<Out, Bits<36>> = read_data;
    }
    enabled: RamWithEnable<Bits<36>, 11> = RamWithEnable::new(1024), [clk], {
        enabled_write: Signal<In, Bit> = write_enable;
        enabled_write_address: Signal<In, Bits<11>> = write_address;
        enabled_write_data: Signal<In, Bits<36>> = write_data;
        enabled_read: Signal<In, Bit> = read_enable;
        enabled_read_address: Signal<In, Bits<11>> = read_address;
        enabled_read_data: Signal<Out, Bits<36>> = read_data;
    }
    dual: TrueDualRam<Bits<18>, 10> = TrueDualRam::new(1024), [clk], {
        dual_a: RamPort<Bits<18>, 10> = a;
        dual_b: RamPort<Bits<18>, 10> = b;
    }
    file: RegisterFile<Bits<24>, 5> = RegisterFile::new(20), [clk], {
        file_write: Signal<In, Bit> = write_enable;
        file_write_address: Signal<In, Bits<5>> = write_address;
        file_write_data: Signal<In, Bits<24>> = write_data;
        file_read_address: Signal<In, Bits<5>> = read_address;
        file_read_data: Signal<Out, Bits<24>> = read_data;
    }
    file_n: RegisterFileN<Bits<24>, 5> = RegisterFileN::new(20, 3), [clk], {
        file_n_write: Signal<In, Bit> = write_enable;
        file_n_write_address: Signal<In, Bits<5>> = write_address;
        file_n_write_data: Signal<In, Bits<24>> = write_data;
        file_n_r0: ReadPort<Bits<24>, 5> = read[0];
        file_n_r1: ReadPort<Bits<24>, 5> = read[1];
        file_n_r2: ReadPort<Bits<24>, 5> = read[2];
    }
    lookup: HashLookup<104, 24> = HashLookup::new(512), [clk rst], {
        lookup_s: StreamSink<Bits<104>> = s;
        lookup_m: StreamSource<HashResult<24>> = m;
        lookup_write: Signal<In, Bit> = write_enable;
        lookup_write_bucket: Signal<In, Bits<16>> = write_bucket;
        lookup_write_way: Signal<In, Bits<2>> = write_way;
        lookup_write_entry: Signal<In, HashEntry<104, 24>> = write_entry;
    }
    free_list: FreeList = FreeList::new(20), [clk rst], {
        free_list_s: StreamSink<Bits<16>> = s;
        free_list_m: StreamSource<Bits<16>> = m;
        free_list_free: Signal<Out, Bits<16>> = free;
    }
    wheel: TimingWheel = TimingWheel::new(64, 16, 4), [clk rst], {
        wheel_now: Signal<In, Bits<64>> = now;
        wheel_s: StreamSink<Deadline> = s;
        wheel_m: StreamSource<Bits<16>> = m;
        wheel_wake_at: Signal<Out, Bits<64>> = wake_at;
        wheel_idle: Signal<Out, Bit> = idle;
    }
    saturating: SaturatingCounter<5> = SaturatingCounter::new(20), [clk rst], {
        saturating_up: Signal<In, Bit> = up;
        saturating_down: Signal<In, Bit> = down;
        saturating_value: Signal<Out, Bits<5>> = value;
        saturating_at_zero: Signal<Out, Bit> = at_zero;
        saturating_at_maximum: Signal<Out, Bit> = at_maximum;
    }
    wrapping: WrappingCounter<5> = WrappingCounter::new(20), [clk rst], {
        wrapping_step: Signal<In, Bit> = step;
        wrapping_value: Signal<Out, Bits<5>> = value;
        wrapping_wraps: Signal<Out, Bit> = wraps;
    }
    credits: Credits = Credits::new(100), [clk rst], {
        credits_want: Signal<In, Bits<16>> = want;
        credits_enough: Signal<Out, Bit> = enough;
        credits_take: Signal<In, Bit> = take;
        credits_give: Signal<In, Bits<16>> = give;
        credits_available: Signal<Out, Bits<16>> = available;
    }
}

/// The RTL of all primitives.
pub fn design() -> &'static Design {
    static DESIGN: OnceLock<Design> = OnceLock::new();
    DESIGN.get_or_init(|| {
        emit(&Gallery::new(), &Options::new("bench", "gallery"))
            .unwrap_or_else(|errors| panic!("{errors}"))
    })
}

/// A bench of all primitives; a test uses the ports of its own.
pub fn bench() -> Bench {
    // Tests run side by side: one builds, the others find the model in the cache.
    Bench::new(design())
}
