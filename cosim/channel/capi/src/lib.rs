//! The functions of `cosim/channel/include/hallux_channel.h`, which documents
//! them.
//!
//! All functions check their pointers for null; beyond that they trust their
//! caller as functions of C do.

mod message;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt::Display;
use std::slice;
use std::time::Duration;

use bytes::Bytes;
use hallux_channel::Time;
use hallux_channel::simbricks::{
    Address, Backoff, Delivery, DeviceIntro, Endpoint, Options, Role, establish_all,
};

/// What became of a message, as C names it; errors are negative.
pub mod delivery {
    use std::ffi::c_int;

    /// Not sent: the ring is full.
    pub const FULL: c_int = 0;
    /// In the ring.
    pub const SENT: c_int = 1;
    /// A frame longer than a slot, dropped.
    pub const REFUSED: c_int = 2;
    /// The channel was terminated.
    pub const DISCARDED: c_int = 3;
}

/// What an end of a channel is, as C names it.
pub mod role {
    use std::ffi::c_int;

    /// Either end of an Ethernet link.
    pub const ETHERNET: c_int = 0;
    /// The device's end of PCIe.
    pub const PCIE_DEVICE: c_int = 1;
    /// The host's end of PCIe.
    pub const PCIE_HOST: c_int = 2;
    /// The memory.
    pub const MEMORY_SERVER: c_int = 3;
    /// Who uses the memory.
    pub const MEMORY_CLIENT: c_int = 4;
}
pub use message::CMessage;

/// One end of an established channel.
#[derive(Debug)]
pub struct End {
    endpoint: Endpoint,
    backoff: Backoff,
    /// Data of the last message.
    data: Bytes,
}

/// `struct hallux_options`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct COptions {
    /// Bytes of a slot, or 0.
    pub slot_size: u64,
    /// Slots of a ring, or 0.
    pub slots: u64,
    /// How long to wait for the peers, or 0.
    pub deadline_ms: u64,
}

impl From<COptions> for Options<'_> {
    fn from(options: COptions) -> Self {
        let mut result = Options::default();
        if options.slot_size != 0 {
            result.slot_size = Some(options.slot_size as usize);
        }
        if options.slots != 0 {
            result.slots = options.slots as usize;
        }
        if options.deadline_ms != 0 {
            result.deadline = Duration::from_millis(options.deadline_ms);
        }
        result
    }
}

thread_local! {
    static ERROR: RefCell<CString> = RefCell::default();
}

/// Keeps the error for `hallux_error`; the value of a failed function.
fn fail(error: impl Display) -> c_int {
    let text = error.to_string().replace('\0', " ");
    ERROR.set(CString::new(text).unwrap_or_default());
    -1
}

const NULL: &str = "a pointer is null";

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn hallux_error() -> *const c_char {
    ERROR.with_borrow(|error| error.as_ptr())
}

/// See the header.
///
/// # Safety
///
/// The arrays have `count` elements, the addresses end with a zero, the other
/// pointers are valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_establish(
    count: usize,
    addresses: *const *const c_char,
    roles: *const c_int,
    device: *const DeviceIntro,
    options: *const COptions,
    ends: *mut *mut End,
) -> c_int {
    if count == 0 {
        return 0;
    }
    if addresses.is_null() || roles.is_null() || ends.is_null() {
        return fail(NULL);
    }
    // SAFETY: by the contract of this function.
    let (addresses, roles, device, options) = unsafe {
        (
            slice::from_raw_parts(addresses, count),
            slice::from_raw_parts(roles, count),
            (!device.is_null()).then(|| device.read_unaligned()),
            options.as_ref().copied().unwrap_or_default(),
        )
    };
    let mut wanted = Vec::with_capacity(count);
    for (&address, &role) in addresses.iter().zip(roles) {
        if address.is_null() {
            return fail(NULL);
        }
        // SAFETY: by the contract of this function.
        let address = unsafe { CStr::from_ptr(address) };
        let address: Address = match address.to_string_lossy().parse() {
            Ok(address) => address,
            Err(error) => return fail(error),
        };
        let role = match (role, device) {
            (role::ETHERNET, _) => Role::Ethernet,
            (role::PCIE_DEVICE, Some(device)) => Role::PcieDevice(Box::new(device)),
            (role::PCIE_DEVICE, None) => return fail("a PCIe device needs a device intro"),
            (role::PCIE_HOST, _) => Role::PcieHost,
            (role::MEMORY_SERVER, _) => Role::MemoryServer,
            (role::MEMORY_CLIENT, _) => Role::MemoryClient,
            (other, _) => return fail(format_args!("{other} is no role")),
        };
        wanted.push((address, role));
    }
    let endpoints = match establish_all(wanted, &options.into()) {
        Ok(endpoints) => endpoints,
        Err(error) => return fail(error),
    };
    for (n, endpoint) in endpoints.into_iter().enumerate() {
        let end = Box::new(End {
            endpoint,
            backoff: Backoff::new(),
            data: Bytes::new(),
        });
        // SAFETY: by the contract of this function.
        unsafe { ends.add(n).write(Box::into_raw(end)) };
    }
    0
}

/// See the header.
///
/// # Safety
///
/// `end` comes from [`hallux_establish`] and is not used any more, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_close(end: *mut End) {
    if !end.is_null() {
        // SAFETY: by the contract of this function.
        drop(unsafe { Box::from_raw(end) });
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_synchronised(end: *const End) -> c_int {
    // SAFETY: by the contract of this function.
    match unsafe { end.as_ref() } {
        Some(end) => end.endpoint.synchronised().into(),
        None => fail(NULL),
    }
}

/// See the header.
///
/// # Safety
///
/// The pointers are valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_device(end: *const End, device: *mut DeviceIntro) -> c_int {
    // SAFETY: by the contract of this function.
    let Some(end) = (unsafe { end.as_ref() }).filter(|_| !device.is_null()) else {
        return fail(NULL);
    };
    let Some(intro) = end.endpoint.device() else {
        return 0;
    };
    // SAFETY: by the contract of this function.
    unsafe { device.write_unaligned(*intro) };
    1
}

/// See the header.
///
/// # Safety
///
/// The pointers are valid or null, and `message` has `len` bytes of data if
/// its type carries data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_send(end: *mut End, at: u64, message: *const CMessage) -> c_int {
    // SAFETY: by the contract of this function.
    let (Some(end), Some(message)) = (unsafe { (end.as_mut(), message.as_ref()) }) else {
        return fail(NULL);
    };
    // SAFETY: by the contract of this function.
    let message = match unsafe { message.to_message(end.endpoint.protocol()) } {
        Ok(message) => message,
        Err(error) => return fail(error),
    };
    match end.endpoint.try_send(Time::from_ps(at), &message) {
        Ok(Delivery::Full) => delivery::FULL,
        Ok(Delivery::Sent) => delivery::SENT,
        Ok(Delivery::Refused) => delivery::REFUSED,
        Ok(Delivery::Discarded) => delivery::DISCARDED,
        Err(error) => fail(error),
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_promise(end: *mut End, upto: u64) -> c_int {
    // SAFETY: by the contract of this function.
    match unsafe { end.as_mut() } {
        Some(end) => match end.endpoint.promise(Time::from_ps(upto)) {
            Ok(made) => made.into(),
            Err(error) => fail(error),
        },
        None => fail(NULL),
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_promise_due(end: *const End) -> u64 {
    // SAFETY: by the contract of this function.
    let end = unsafe { end.as_ref() };
    end.map_or(Time::NEVER, |end| end.endpoint.promise_due())
        .ps()
}

/// See the header.
///
/// # Safety
///
/// The pointers are valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_poll(end: *mut End, at: *mut u64, message: *mut CMessage) -> c_int {
    // SAFETY: by the contract of this function.
    let Some(end) = (unsafe { end.as_mut() }).filter(|_| !at.is_null() && !message.is_null())
    else {
        return fail(NULL);
    };
    match end.endpoint.poll() {
        Ok(Some((arrival, received))) => {
            let (received, data) = CMessage::of(received);
            end.data = data;
            let data = end.data.as_ptr();
            // SAFETY: by the contract of this function.
            unsafe {
                at.write(arrival.ps());
                message.write(CMessage { data, ..received });
            }
            1
        }
        Ok(None) => 0,
        Err(error) => fail(error),
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_bound(end: *const End) -> u64 {
    // SAFETY: by the contract of this function.
    let end = unsafe { end.as_ref() };
    end.map_or(Time::NEVER, |end| end.endpoint.bound()).ps()
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_terminate(end: *mut End) -> c_int {
    // SAFETY: by the contract of this function.
    match unsafe { end.as_mut() } {
        Some(end) => match end.endpoint.terminate() {
            Ok(sent) => sent.into(),
            Err(error) => fail(error),
        },
        None => fail(NULL),
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_terminated(end: *const End) -> c_int {
    // SAFETY: by the contract of this function.
    match unsafe { end.as_ref() } {
        Some(end) => end.endpoint.terminated().into(),
        None => fail(NULL),
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_peer_alive(end: *mut End) -> c_int {
    // SAFETY: by the contract of this function.
    match unsafe { end.as_mut() } {
        Some(end) => end.endpoint.peer_alive().into(),
        None => fail(NULL),
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_idle(end: *mut End) {
    // SAFETY: by the contract of this function.
    if let Some(end) = unsafe { end.as_mut() } {
        end.backoff.idle();
    }
}

/// See the header.
///
/// # Safety
///
/// `end` is valid or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hallux_progress(end: *mut End) {
    // SAFETY: by the contract of this function.
    if let Some(end) = unsafe { end.as_mut() } {
        end.backoff.progress();
    }
}
