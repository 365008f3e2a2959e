//! Standard output that may be closed at any time, as by `| head`.

use std::fmt::Display;
use std::io::Write;

/// Prints a line. A reader who has gone away is not an error: what matters is in files.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
