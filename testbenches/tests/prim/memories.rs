//! Memories: latency, collision, enable.

use crate::lockstep::{Lockstep, lockstep};
use hallux_hdl::prelude::*;

#[derive(LogicBlock)]
struct Memories {
    pub clk: Signal<In, Clock>,
    pub write: Signal<In, Bit>,
    pub write_at: Signal<In, Bits<5>>,
    pub data: Signal<In, Bits<70>>,
    pub read: Signal<In, Bit>,
    pub read_at: Signal<In, Bits<5>>,
    pub plain: Signal<Out, Bits<70>>,
    pub enabled: Signal<Out, Bits<70>>,
    pub direct: Signal<Out, Bits<70>>,
    ram: Ram<Bits<70>, 5>,
    held: RamWithEnable<Bits<70>, 5>,
    file: RegisterFile<Bits<70>, 5>,
}

impl Logic for Memories {
    #[hdl]
    fn update(&mut self) {
        self.ram.clk.next = self.clk.val();
        self.ram.write_enable.next = self.write.val();
        self.ram.write_address.next = self.write_at.val();
        self.ram.write_data.next = self.data.val();
        self.ram.read_address.next = self.read_at.val();
        self.held.clk.next = self.clk.val();
        self.held.write_enable.next = self.write.val();
        self.held.write_address.next = self.write_at.val();
        self.held.write_data.next = self.data.val();
        self.held.read_enable.next = self.read.val();
        self.held.read_address.next = self.read_at.val();
        self.file.clk.next = self.clk.val();
        self.file.write_enable.next = self.write.val();
        self.file.write_address.next = self.write_at.val();
        self.file.write_data.next = self.data.val();
        self.file.read_address.next = self.read_at.val();
        self.plain.next = self.ram.read_data.val();
        self.enabled.next = self.held.read_data.val();
        self.direct.next = self.file.read_data.val();
    }
}

#[test]
fn memories() {
    // 24 of 32 addresses; few of them, so that reads and writes meet. The register file
    // starts undefined: the first cycles fill it.
    let block = Memories {
        clk: Default::default(),
        write: Default::default(),
        write_at: Default::default(),
        data: Default::default(),
        read: Default::default(),
        read_at: Default::default(),
        plain: Default::default(),
        enabled: Default::default(),
        direct: Default::default(),
        ram: Ram::zeroed(24),
        held: RamWithEnable::zeroed(24),
        file: RegisterFile::new(24),
    };
    lockstep(Lockstep {
        block,
        name: "memories",
        cycles: 3000,
        drive: |block, random, reset| {
            block.write.next = random.chance(60);
            block.write_at.next = bits(u64::from(random.below(6)) * 4);
            block.data.next = random.value();
            block.read.next = reset || random.chance(60);
            block.read_at.next = bits(u64::from(random.below(6)) * 4);
        },
        clock: |block, level| block.clk.next = level.into(),
        // A word of the register file is undefined until it is written; zero in Rust.
        compare: |block, port| port != "direct" || block.direct.val().any(),
    });
}
