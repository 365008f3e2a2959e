//! Simulated physical memory of the host, and its allocator.
//!
//! Pages come into being when they are first written, so a host with thousands of
//! connections and a mebibyte of ring for each costs only what is touched.

use std::collections::BTreeMap;

/// Bytes of a page that comes into being at once.
const PAGE_BYTES: u64 = 1 << 16;

/// Smallest block of the allocator: one cache line, so that no two rings share one.
const SMALLEST_BLOCK: u64 = 64;

/// Lowest bus address of a host's memory. It lies above 4 GiB so that every request
/// needs a 64-bit address, as on real servers.
pub const MEMORY_BASE: u64 = 1 << 32;

/// There is no free block of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host's memory of {size} bytes has no free block of {bytes} bytes; configure more \
     memory, smaller rings or fewer connections"
)]
pub struct OutOfMemory {
    /// Bytes asked for, rounded up to a power of two.
    pub bytes: u64,
    /// Bytes of the whole memory.
    pub size: u64,
}

/// Byte-addressed memory with an allocator of naturally aligned power-of-two blocks.
///
/// Like a bus, it answers reads outside its range with all ones and discards writes there.
#[derive(Debug)]
pub struct Memory {
    base: u64,
    size: u64,
    pages: Vec<Option<Box<[u8]>>>,
    /// First address never handed out.
    fresh: u64,
    /// Free blocks by size.
    free: BTreeMap<u64, Vec<u64>>,
}

impl Memory {
    /// Memory of `size` bytes, rounded up to whole pages, at bus address `base`, which is
    /// rounded down to a page.
    pub fn new(base: u64, size: u64) -> Self {
        let base = base - base % PAGE_BYTES;
        let pages = size.div_ceil(PAGE_BYTES);
        Self {
            base,
            size: pages * PAGE_BYTES,
            pages: (0..pages).map(|_| None).collect(),
            fresh: base,
            free: BTreeMap::new(),
        }
    }

    /// Hands out `bytes` bytes, rounded up to a power of two and aligned to that size.
    /// Fresh blocks read as zero.
    ///
    /// # Errors
    ///
    /// If no block of this size is left.
    pub fn allocate(&mut self, bytes: u64) -> Result<u64, OutOfMemory> {
        let size = block_size(bytes);
        if let Some(address) = self.free.get_mut(&size).and_then(Vec::pop) {
            return Ok(address);
        }
        let end = self.base + self.size;
        let start = self.fresh.next_multiple_of(size);
        if start.checked_add(size).is_none_or(|after| after > end) {
            return Err(OutOfMemory {
                bytes: size,
                size: self.size,
            });
        }
        // The gap that alignment leaves is free in blocks of falling alignment.
        while self.fresh < start {
            let gap = 1
                << self
                    .fresh
                    .trailing_zeros()
                    .min((start - self.fresh).ilog2());
            self.free.entry(gap).or_default().push(self.fresh);
            self.fresh += gap;
        }
        self.fresh = start + size;
        Ok(start)
    }

    /// Takes back a block of [`allocate`](Self::allocate), zeroed; `bytes` as given there.
    pub fn release(&mut self, address: u64, bytes: u64) {
        let size = block_size(bytes);
        self.clear(address, size);
        self.free.entry(size).or_default().push(address);
    }

    /// Fills `into` from `address`.
    pub fn read(&self, address: u64, into: &mut [u8]) {
        let mut done = 0;
        while done < into.len() {
            let (page, offset) = self.place(address.wrapping_add(done as u64));
            let count = (PAGE_BYTES as usize - offset).min(into.len() - done);
            let part = &mut into[done..done + count];
            match page.and_then(|page| self.pages.get(page)) {
                Some(Some(page)) => part.copy_from_slice(&page[offset..offset + count]),
                Some(None) => part.fill(0),
                None => part.fill(0xff),
            }
            done += count;
        }
    }

    /// Stores `bytes` at `address`.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let (page, offset) = self.place(address.wrapping_add(done as u64));
            let count = (PAGE_BYTES as usize - offset).min(bytes.len() - done);
            if let Some(page) = page.and_then(|page| self.pages.get_mut(page)) {
                let page = page.get_or_insert_with(|| vec![0; PAGE_BYTES as usize].into());
                page[offset..offset + count].copy_from_slice(&bytes[done..done + count]);
            }
            done += count;
        }
    }

    /// The little-endian 64-bit word at `address`.
    pub fn read_u64(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Index of the page that holds `address`, if it is in range, and the offset there.
    fn place(&self, address: u64) -> (Option<usize>, usize) {
        let page = address
            .checked_sub(self.base)
            .map(|offset| (offset / PAGE_BYTES) as usize);
        // The base is page-aligned.
        (page, (address % PAGE_BYTES) as usize)
    }

    fn clear(&mut self, address: u64, bytes: u64) {
        let mut done = 0;
        while done < bytes {
            let (page, offset) = self.place(address + done);
            let count = (PAGE_BYTES - offset as u64).min(bytes - done);
            if let Some(slot) = page.and_then(|page| self.pages.get_mut(page)) {
                if count == PAGE_BYTES {
                    *slot = None;
                } else if let Some(page) = slot {
                    page[offset..offset + count as usize].fill(0);
                }
            }
            done += count;
        }
    }
}

fn block_size(bytes: u64) -> u64 {
    bytes.max(SMALLEST_BLOCK).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_a_page_border_and_untouched_memory_is_zero() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 20);
        let address = MEMORY_BASE + PAGE_BYTES - 3;
        memory.write(address, &[1, 2, 3, 4, 5, 6]);
        let mut read = [9; 8];
        memory.read(address - 1, &mut read);
        assert_eq!(read, [0, 1, 2, 3, 4, 5, 6, 0]);
    }

    #[test]
    fn beyond_the_memory_reads_are_all_ones_and_writes_vanish() {
        let mut memory = Memory::new(MEMORY_BASE, PAGE_BYTES);
        let end = MEMORY_BASE + PAGE_BYTES;
        memory.write(end - 1, &[7, 8]);
        let mut read = [0; 2];
        memory.read(end - 1, &mut read);
        assert_eq!(read, [7, 0xff]);
        memory.write(0, &[1]);
        memory.read(0, &mut read);
        assert_eq!(read, [0xff; 2]);
    }

    #[test]
    fn blocks_are_aligned_to_their_size_and_gaps_are_used() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 20);
        let small = memory.allocate(8).unwrap();
        let large = memory.allocate(40_000).unwrap();
        assert_eq!(large % 65536, 0);
        let gap = memory.allocate(1 << 15).unwrap();
        assert!(
            small < gap && gap < large,
            "the gap before the large block is used"
        );
    }

    #[test]
    fn a_released_block_comes_back_zeroed() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 20);
        for bytes in [100, 200_000] {
            let address = memory.allocate(bytes).unwrap();
            memory.write(address, &[1; 100]);
            memory.release(address, bytes);
            assert_eq!(memory.allocate(bytes), Ok(address));
            assert_eq!(memory.read_u64(address), 0);
        }
    }

    #[test]
    fn exhaustion_is_an_error() {
        let mut memory = Memory::new(MEMORY_BASE, PAGE_BYTES);
        assert_eq!(memory.allocate(PAGE_BYTES), Ok(MEMORY_BASE));
        let error = memory.allocate(1).unwrap_err();
        assert_eq!(
            error,
            OutOfMemory {
                bytes: 64,
                size: PAGE_BYTES
            }
        );
    }
}
