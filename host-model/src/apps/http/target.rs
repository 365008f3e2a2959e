//! Request targets: from a path below the root to a URL and back.

/// Why a request target names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetError {
    /// Not an absolute path, or wrongly encoded.
    Malformed,
    /// It leads out of the root.
    OutsideRoot,
}

/// A path below the root as a request target: `a b.txt` becomes `/a%20b.txt`.
/// Everything but unreserved characters (RFC 3986 §2.3) and `/` is encoded.
pub fn encode_path(path: &str) -> String {
    let mut target = String::from("/");
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                target.push(char::from(byte));
            }
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

/// The path below the root that a request target names, without a leading
/// slash; a directory ends in a slash or is empty. The query is ignored.
///
/// Dots are resolved after decoding, so no encoding of `..` gets past.
pub(super) fn decode_target(target: &str) -> Result<String, TargetError> {
    let path = match target.split_once("://") {
        // Absolute form (RFC 9112 §3.2.2): skip the authority.
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => target,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(TargetError::Malformed);
    }
    let decoded = percent_decode(path).ok_or(TargetError::Malformed)?;
    let decoded = String::from_utf8(decoded).map_err(|_| TargetError::Malformed)?;
    if decoded.contains('\0') {
        return Err(TargetError::Malformed);
    }
    let is_directory =
        decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(TargetError::OutsideRoot)?;
            }
            part => parts.push(part),
        }
    }
    let mut path = parts.join("/");
    if is_directory && !path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push((high * 16 + low) as u8);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn targets_become_paths_below_the_root() {
        for (target, path) in [
            ("/", ""),
            ("/a/b.txt?x=1", "a/b.txt"),
            ("/a/", "a/"),
            ("/a/./b/../c", "a/c"),
            ("/%61%20b", "a b"),
            ("http://host/a", "a"),
            ("http://host", ""),
            ("/%252e%252e/", "%2e%2e/"),
        ] {
            assert_eq!(decode_target(target).as_deref(), Ok(path), "{target}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_root() {
        for target in [
            "/..",
            "/../etc/passwd",
            "/a/../../b",
            "/%2e%2e/b",
            "/..%2fb",
            "/a/%2E./%2e%2E",
        ] {
            assert_eq!(
                decode_target(target),
                Err(TargetError::OutsideRoot),
                "{target}"
            );
        }
        for target in ["", "a", "*", "/%", "/%4", "/%zz", "/%00", "/%ff"] {
            assert_eq!(
                decode_target(target),
                Err(TargetError::Malformed),
                "{target}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_encoding(name in "[^/\0]{1,20}") {
            prop_assume!(name != "." && name != "..");
            prop_assert_eq!(decode_target(&encode_path(&name)), Ok(name));
        }
    }
}
