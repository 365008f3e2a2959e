//! Memory shared with another process.
//!
//! The other side is not trusted: it may write at any time. So nothing here
//! hands out a reference into the memory. Bytes are copied in and out by
//! accesses that the language counts as relaxed atomic ones, one by one or in
//! a block of assembly that does nothing but such accesses, and are looked at
//! only afterwards.

use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
#[cfg(not(target_arch = "x86_64"))]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::ring::Slots;
use super::wire::{HEADER_BYTES, OWN_TYPE, RingPlace, TIMESTAMP_WORD};
use crate::message::Message;

/// A mapping of a whole object, unmapped with the last ring in it.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain memory, reached only through the atomic
// accesses below.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of the object, `len` > 0.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(object: impl AsFd, len: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the system's choice.
        let base = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                object,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::Errno::NOMEM)?;
        Ok(Mapping { base, len })
    }

    /// Bytes mapped.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no ring is left that points into it.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// A new object of `len` zeroed bytes without a name in the file system. It
/// vanishes with its last user, however that ends, and cannot be resized.
///
/// # Errors
///
/// What the system says.
pub fn anonymous(name: &str, len: usize) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let object = rustix::fs::memfd_create(name, flags)?;
    rustix::fs::ftruncate(&object, len as u64)?;
    rustix::fs::fcntl_add_seals(
        &object,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(object)
}

/// One ring in a mapping.
#[derive(Clone, Debug)]
pub struct SharedSlots {
    /// Keeps the memory mapped.
    _mapping: Arc<Mapping>,
    first: NonNull<u8>,
    slot_size: usize,
    capacity: usize,
    count: usize,
    /// Bytes of the ring. A slot is named by its distance from the first one.
    end: usize,
}

// SAFETY: `first` points into `mapping`, which is `Send` and `Sync` itself.
unsafe impl Send for SharedSlots {}

impl SharedSlots {
    /// The ring at `place`; `None` unless it has slots, they have room for a
    /// header, and all lie within the mapping.
    pub fn new(mapping: Arc<Mapping>, place: &RingPlace) -> Option<Self> {
        let offset = usize::try_from(place.offset).ok()?;
        let slot_size = usize::try_from(place.slot_size).ok()?;
        let count = usize::try_from(place.slots).ok()?;
        let end = slot_size.checked_mul(count)?.checked_add(offset)?;
        if count == 0 || slot_size < HEADER_BYTES || end > mapping.len() {
            return None;
        }
        // SAFETY: `offset` is within the mapping.
        let first = unsafe { mapping.base.add(offset) };
        Some(SharedSlots {
            _mapping: mapping,
            first,
            slot_size,
            capacity: (slot_size - HEADER_BYTES).min(Message::MAX_PAYLOAD),
            count,
            end: slot_size * count,
        })
    }

    /// Bytes of payload that a message in a slot can have: as many as fit, and
    /// as its header can say.
    #[inline(always)]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    #[inline(always)]
    fn slot(&self, at: usize) -> *mut u8 {
        debug_assert!(at < self.end && at.is_multiple_of(self.slot_size));
        // SAFETY: `new` has checked that all slots are mapped.
        unsafe { self.first.as_ptr().add(at) }
    }

    #[inline(always)]
    fn own_type(&self, at: usize) -> &AtomicU8 {
        // SAFETY: byte 63 of a mapped slot, always accessed atomically.
        unsafe { AtomicU8::from_ptr(self.slot(at).add(OWN_TYPE)) }
    }
}

impl Slots for SharedSlots {
    #[inline(always)]
    fn count(&self) -> usize {
        self.count
    }

    #[inline(always)]
    fn following(&self, at: usize) -> usize {
        let next = at + self.slot_size;
        if next == self.end { 0 } else { next }
    }

    #[inline(always)]
    fn half_way(&self, at: usize) -> usize {
        let ahead = at + self.count / 2 * self.slot_size;
        if ahead < self.end {
            ahead
        } else {
            ahead - self.end
        }
    }

    #[inline(always)]
    fn acquire(&self, at: usize) -> u8 {
        self.own_type(at).load(Ordering::Acquire)
    }

    #[inline(always)]
    fn release(&self, at: usize, own_type: u8) {
        self.own_type(at).store(own_type, Ordering::Release);
    }

    #[inline(always)]
    fn fill(&self, at: usize, own_type: u8, words: &[u64], stamp: u64, payload: &[u8]) {
        let (slot, owner) = (self.slot(at), self.own_type(at));
        assert!(words.len() <= 4 && payload.len() <= self.capacity());
        for (number, &word) in words.iter().enumerate() {
            // SAFETY: the word lies in the header of a mapped slot.
            unsafe { store_word(slot.add(8 * number), word) };
        }
        // SAFETY: the stamp lies in the header, and the payload fits between
        // header and end of the slot.
        unsafe {
            store_word(slot.add(8 * TIMESTAMP_WORD), stamp);
            copy(slot.add(HEADER_BYTES), payload.as_ptr(), payload.len());
        }
        owner.store(own_type, Ordering::Release);
    }

    #[inline(always)]
    fn read_word(&self, at: usize, word: usize) -> u64 {
        assert!(word <= TIMESTAMP_WORD);
        // SAFETY: the word lies in the header of a mapped slot.
        unsafe { load_word(self.slot(at).add(8 * word)) }
    }

    #[inline(always)]
    fn read_payload(&self, at: usize, into: &mut [u8]) {
        assert!(into.len() <= self.capacity());
        // SAFETY: the bytes lie between header and end of the slot.
        unsafe {
            copy(
                into.as_mut_ptr(),
                self.slot(at).add(HEADER_BYTES),
                into.len(),
            );
        }
    }
}

/// Reads a word of the header of a slot, which need not be aligned.
///
/// # Safety
///
/// Eight bytes at `at` are mapped.
#[inline(always)]
unsafe fn load_word(at: *mut u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let word: u64;
        // SAFETY: by the contract of this function.
        unsafe {
            std::arch::asm!(
                "mov {word}, [{at}]",
                word = lateout(reg) word, at = in(reg) at,
                options(nostack, preserves_flags, readonly)
            );
        }
        word
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut bytes = [0; 8];
        // SAFETY: by the contract of this function.
        unsafe { copy(bytes.as_mut_ptr(), at, 8) };
        u64::from_le_bytes(bytes)
    }
}

/// Writes a word of the header of a slot, which need not be aligned.
///
/// # Safety
///
/// Eight bytes at `at` are mapped.
#[inline(always)]
unsafe fn store_word(at: *mut u8, word: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: by the contract of this function.
    unsafe {
        std::arch::asm!(
            "mov [{at}], {word}",
            word = in(reg) word, at = in(reg) at,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: by the contract of this function.
    unsafe {
        copy(at, word.to_le_bytes().as_ptr(), 8)
    };
}

/// Copies bytes of which one side is shared.
///
/// # Safety
///
/// `len` bytes are readable at `from` and writable at `to`, and the two do
/// not overlap.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    if len == 64 {
        // SAFETY: by the contract of this function.
        unsafe { copy_64(to, from) };
    } else if len > 0 {
        // SAFETY: as above.
        unsafe { copy_any(to, from, len) };
    }
}

/// Copies 64 bytes of which one side is shared: the shortest frames, and a
/// part of all longer ones.
///
/// # Safety
///
/// As `copy`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn copy_64(to: *mut u8, from: *const u8) {
    // SAFETY: by the contract of this function.
    unsafe {
        std::arch::asm!(
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            from = in(reg) from, to = in(reg) to,
            a = out(xmm_reg) _, b = out(xmm_reg) _,
            c = out(xmm_reg) _, d = out(xmm_reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// Copies bytes of which one side is shared.
///
/// # Safety
///
/// As `copy`.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_any(to: *mut u8, from: *const u8, len: usize) {
    use std::arch::asm;

    /// Moves one block of the width of a register.
    macro_rules! block {
        ($class:ident, $load:literal, $store:literal, $at:expr) => {{
            let at: usize = $at;
            // SAFETY: the caller's `len` covers the block.
            unsafe {
                asm!(
                    $load, $store,
                    from = in(reg) from.add(at), to = in(reg) to.add(at), t = out($class) _,
                    options(nostack, preserves_flags)
                );
            }
        }};
    }
    macro_rules! wide {
        ($at:expr) => {
            block!(xmm_reg, "movups {t}, [{from}]", "movups [{to}], {t}", $at)
        };
    }
    // Two blocks that may overlap cover every length between one and two blocks.
    match len {
        0 => {}
        1 => block!(reg_byte, "mov {t}, [{from}]", "mov [{to}], {t}", 0),
        2..4 => {
            block!(reg, "mov {t:x}, [{from}]", "mov [{to}], {t:x}", 0);
            block!(reg, "mov {t:x}, [{from}]", "mov [{to}], {t:x}", len - 2);
        }
        4..8 => {
            block!(reg, "mov {t:e}, [{from}]", "mov [{to}], {t:e}", 0);
            block!(reg, "mov {t:e}, [{from}]", "mov [{to}], {t:e}", len - 4);
        }
        8..16 => {
            block!(reg, "mov {t:r}, [{from}]", "mov [{to}], {t:r}", 0);
            block!(reg, "mov {t:r}, [{from}]", "mov [{to}], {t:r}", len - 8);
        }
        _ => {
            let mut at = 0;
            if len >= 256 && is_x86_feature_detected!("avx") {
                // Stores that straddle two cache lines cost most: the first
                // 64 bytes, then from a boundary on.
                // SAFETY: the caller's `len` covers the 64 bytes.
                unsafe { copy_64(to, from) };
                at = 64 - to.addr() % 64;
                if is_x86_feature_detected!("avx512f") {
                    let blocks = (len - at) / 256;
                    // SAFETY: the caller's `len` covers the blocks, and the
                    // processor has AVX-512.
                    unsafe { copy_wider(to.add(at), from.add(at), blocks) };
                    at += blocks * 256;
                }
                let blocks = (len - at) / 128;
                // SAFETY: the caller's `len` covers the blocks, and the processor has AVX.
                unsafe { copy_wide(to.add(at), from.add(at), blocks) };
                at += blocks * 128;
            }
            while at + 64 <= len {
                // SAFETY: the caller's `len` covers the 64 bytes.
                unsafe { copy_64(to.add(at), from.add(at)) };
                at += 64;
            }
            while at + 16 <= len {
                wide!(at);
                at += 16;
            }
            if at < len {
                wide!(len - 16);
            }
        }
    }
}

/// A function that copies blocks of four registers, of which one side is
/// shared.
#[cfg(target_arch = "x86_64")]
macro_rules! copy_blocks {
    ($(#[$about:meta])* $name:ident, $move:literal, $register:literal, $width:literal) => {
        $(#[$about])*
        #[inline]
        unsafe fn $name(to: *mut u8, from: *const u8, blocks: usize) {
            if blocks == 0 {
                return;
            }
            // SAFETY: by the contract of this function.
            unsafe {
                std::arch::asm!(
                    "2:",
                    concat!($move, " ", $register, "0, [rsi]"),
                    concat!($move, " ", $register, "1, [rsi + ", $width, "]"),
                    concat!($move, " ", $register, "2, [rsi + 2 * ", $width, "]"),
                    concat!($move, " ", $register, "3, [rsi + 3 * ", $width, "]"),
                    concat!($move, " [rdi], ", $register, "0"),
                    concat!($move, " [rdi + ", $width, "], ", $register, "1"),
                    concat!($move, " [rdi + 2 * ", $width, "], ", $register, "2"),
                    concat!($move, " [rdi + 3 * ", $width, "], ", $register, "3"),
                    concat!("add rsi, 4 * ", $width),
                    concat!("add rdi, 4 * ", $width),
                    "dec rcx",
                    "jnz 2b",
                    // Upper halves in use make all other vector code slow.
                    "vzeroupper",
                    inout("rsi") from => _, inout("rdi") to => _, inout("rcx") blocks => _,
                    clobber_abi("C"),
                    options(nostack)
                );
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
copy_blocks!(
    /// Copies blocks of 128 bytes of which one side is shared.
    ///
    /// # Safety
    ///
    /// As `copy`, and the processor has AVX.
    copy_wide,
    "vmovdqu",
    "ymm",
    "32"
);

#[cfg(target_arch = "x86_64")]
copy_blocks!(
    /// Copies blocks of 256 bytes of which one side is shared.
    ///
    /// # Safety
    ///
    /// As `copy`, and the processor has AVX-512.
    copy_wider,
    "vmovdqu64",
    "zmm",
    "64"
);

/// Copies bytes of which one side is shared.
///
/// # Safety
///
/// `len` bytes are readable at `from` and writable at `to`, and the two do
/// not overlap.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    let mut at = 0;
    let words = (to as usize | from as usize).is_multiple_of(8);
    while words && at + 8 <= len {
        // SAFETY: the caller's `len` covers the word, which is aligned.
        unsafe {
            let word = AtomicU64::from_ptr(from.add(at).cast_mut().cast()).load(Ordering::Relaxed);
            AtomicU64::from_ptr(to.add(at).cast()).store(word, Ordering::Relaxed);
        }
        at += 8;
    }
    while at < len {
        // SAFETY: the caller's `len` covers the byte.
        unsafe {
            let byte = AtomicU8::from_ptr(from.add(at).cast_mut()).load(Ordering::Relaxed);
            AtomicU8::from_ptr(to.add(at)).store(byte, Ordering::Relaxed);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_exactly() {
        let from: Vec<u8> = (0..1600_u32).map(|i| (i * 7 + 1) as u8).collect();
        for len in 0..1590 {
            let mut to = vec![0_u8; 1600];
            // SAFETY: both vectors are longer than 3 + `len`.
            unsafe { copy(to.as_mut_ptr().add(3), from.as_ptr().add(5), len) };
            assert_eq!(to[3..3 + len], from[5..5 + len]);
            assert!(to[..3].iter().chain(&to[3 + len..]).all(|&byte| byte == 0));
        }
    }

    #[test]
    fn half_a_ring_ahead_is_a_slot_of_the_ring() {
        let object = anonymous("test", 4096).unwrap();
        let mapping = Arc::new(Mapping::new(&object, 4096).unwrap());
        for count in 1..=5 {
            let place = RingPlace {
                offset: 64,
                slot_size: 65,
                slots: count as u64,
            };
            let slots = SharedSlots::new(mapping.clone(), &place).unwrap();
            let mut at = 0;
            for _ in 0..count {
                let ahead = (0..count / 2).fold(at, |at, _| slots.following(at));
                assert_eq!(slots.half_way(at), ahead);
                at = slots.following(at);
            }
        }
    }

    #[test]
    fn a_ring_outside_the_object_is_none() {
        let object = anonymous("test", 4096).unwrap();
        let mapping = Arc::new(Mapping::new(&object, 4096).unwrap());
        let place = |offset, slot_size, slots| RingPlace {
            offset,
            slot_size,
            slots,
        };
        let fits = |place| SharedSlots::new(mapping.clone(), &place).is_some();
        assert!(fits(place(0, 64, 64)));
        assert!(fits(place(4096 - 65, 65, 1)));
        assert!(!fits(place(1, 64, 64)));
        assert!(!fits(place(0, 64, 0)));
        assert!(!fits(place(0, 63, 1)));
        assert!(!fits(place(u64::MAX, 64, 1)));
        assert!(!fits(place(0, 1 << 63, 2)));
    }
}
