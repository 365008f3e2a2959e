//! How the ports of a top module lie in the two structures that cross to the model.
//!
//! The rules are those of a C compiler for the ports in manifest order, so that a
//! `#[repr(C)]` structure with explicit padding matches by construction:
//!
//! | width (bits) | Rust type | bytes | alignment |
//! |---|---|---|---|
//! | 1–8 | `u8` | 1 | 1 |
//! | 9–16 | `u16` | 2 | 2 |
//! | 17–32 | `u32` | 4 | 4 |
//! | 33–64 | `u64` | 8 | 8 |
//! | above | `[u32; width.div_ceil(32)]` | 4 × words | 4 |
//!
//! Words of wide ports stand least significant first. Bits above a port's width are
//! ignored on the way in and zero on the way out. The clock is in neither structure.

use hallux_hdl::manifest::{Direction, Field, Manifest};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Where one port lies in its structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortField {
    /// Port name.
    pub name: String,
    /// Width in bits.
    pub width: u32,
    /// Offset from the start of the structure, in bytes.
    pub offset: usize,
    /// Bytes taken.
    pub bytes: usize,
    /// Fields of a structured port, least significant first.
    pub fields: Vec<Field>,
}

impl PortField {
    fn alignment(&self) -> usize {
        if self.width > 64 { 4 } else { self.bytes }
    }
}

/// All ports of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortLayout {
    /// The ports in manifest order.
    pub ports: Vec<PortField>,
    /// Size of the structure in bytes, padded to its alignment.
    pub size: usize,
    /// The strictest alignment of any port, in bytes; 0 without ports.
    pub alignment: usize,
}

/// The two structures of a top module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name of the top module.
    pub top: String,
    /// Name of the clock input; a purely combinational module has none.
    pub clock: Option<String>,
    /// What the surroundings drive, without the clock.
    pub inputs: PortLayout,
    /// What the module drives.
    pub outputs: PortLayout,
}

/// A field of a Rust structure, to be held against a [`PortLayout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Field name; equals the port's name. A name that starts with `_` is padding.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// A plain-old-data structure that carries the ports of one direction.
///
/// Declare one with [`port_struct!`](crate::port_struct), which derives this table from
/// the structure itself.
pub trait PortStruct: bytemuck::Pod {
    /// The structure's fields in declaration order.
    const FIELDS: &'static [FieldSpec];
}

/// Declares a `#[repr(C)]` plain-old-data structure and its [`PortStruct`] table.
///
/// Padding must be explicit, in fields whose names start with `_`;
/// [`PortLayout::rust_source`] writes the declaration for a given module.
///
/// ```
/// hallux_verilator::port_struct! {
///     /// Inputs of an adder.
///     pub struct AdderInputs {
///         /// First operand.
///         pub a: u32,
///         /// Carry in.
///         pub carry: u8,
///         pub _padding: [u8; 3],
///     }
/// }
/// use hallux_verilator::PortStruct;
/// assert_eq!(AdderInputs::FIELDS[1].offset, 4);
/// ```
#[macro_export]
macro_rules! port_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, $crate::bytemuck::Pod, $crate::bytemuck::Zeroable)]
        #[bytemuck(crate = "::hallux_verilator::bytemuck")]
        #[allow(missing_docs)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),* }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                $crate::bytemuck::Zeroable::zeroed()
            }
        }

        impl $crate::PortStruct for $name {
            const FIELDS: &'static [$crate::FieldSpec] = &[$($crate::FieldSpec {
                name: stringify!($field),
                offset: ::core::mem::offset_of!($name, $field),
                size: ::core::mem::size_of::<$type>(),
            }),*];
        }
    };
}

/// Why a module's ports cannot be laid out, or a Rust structure does not fit them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The manifest lists no module of the top's name.
    #[error("the manifest of design `{design}` does not list its top module `{top}`")]
    NoTop {
        /// Name of the design point.
        design: String,
        /// Name of the missing module.
        top: String,
    },
    /// A model has one clock.
    #[error("module `{top}` has clocks `{first}` and `{second}`; a model has one clock")]
    TwoClocks {
        /// Name of the module.
        top: String,
        /// The clock declared first.
        first: String,
        /// The clock declared second.
        second: String,
    },
    /// A port has no bits.
    #[error("port `{port}` of module `{top}` has width 0")]
    ZeroWidth {
        /// Name of the module.
        top: String,
        /// Name of the port.
        port: String,
    },
    /// The port's name cannot be carried to C++.
    #[error(
        "port `{port}` of module `{top}` cannot be named in C++; \
         use letters, digits and single underscores, and no C++ keyword or `name`, `trace`, `eval`"
    )]
    Name {
        /// Name of the module.
        top: String,
        /// Name of the port.
        port: String,
    },
    /// A Rust structure lacks a port.
    #[error("port `{port}` ({width} bits) has no field in the Rust structure")]
    MissingField {
        /// Name of the port.
        port: String,
        /// Width in bits.
        width: u32,
    },
    /// A Rust structure has a field that is no port.
    #[error("field `{field}` of the Rust structure is no port; padding fields start with `_`")]
    UnknownField {
        /// Name of the field.
        field: &'static str,
    },
    /// A field lies elsewhere than the port.
    #[error(
        "port `{port}` lies at byte {offset} with {bytes} bytes, \
         the Rust field at byte {field_offset} with {field_size}"
    )]
    Mismatch {
        /// Name of the port.
        port: String,
        /// Offset of the port in bytes.
        offset: usize,
        /// Bytes of the port.
        bytes: usize,
        /// Offset of the field in bytes.
        field_offset: usize,
        /// Bytes of the field.
        field_size: usize,
    },
    /// The sizes of the structures differ.
    #[error("the ports take {expected} bytes, the Rust structure {actual}")]
    Size {
        /// Bytes of the port layout.
        expected: usize,
        /// Bytes of the Rust structure.
        actual: usize,
    },
    /// A field has the right size, but is an array of smaller parts.
    #[error(
        "the ports need an alignment of {expected} bytes, the Rust structure has {actual}; \
         use one integer for a port of up to 64 bits"
    )]
    Alignment {
        /// Alignment of the port layout.
        expected: usize,
        /// Alignment of the Rust structure.
        actual: usize,
    },
}

impl PortLayout {
    fn push(&mut self, name: &str, width: u32, fields: &[Field]) {
        let bytes = match width {
            0..=8 => 1,
            9..=16 => 2,
            17..=32 => 4,
            33..=64 => 8,
            wide => wide.div_ceil(32) as usize * 4,
        };
        let mut port = PortField {
            name: name.to_string(),
            width,
            offset: 0,
            bytes,
            fields: fields.to_vec(),
        };
        let end = self.ports.last().map_or(0, |last| last.offset + last.bytes);
        port.offset = end.next_multiple_of(port.alignment());
        self.alignment = self.alignment.max(port.alignment());
        self.size = (port.offset + bytes).next_multiple_of(self.alignment);
        self.ports.push(port);
    }

    /// The port `name`.
    pub fn port(&self, name: &str) -> Option<&PortField> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// Holds the Rust structure `T` against this layout.
    ///
    /// # Errors
    /// The first difference: a missing or unknown field, another place, size or alignment.
    pub fn check_struct<T: PortStruct>(&self) -> Result<(), LayoutError> {
        self.check(T::FIELDS, size_of::<T>())?;
        if align_of::<T>() < self.alignment {
            return Err(LayoutError::Alignment {
                expected: self.alignment,
                actual: align_of::<T>(),
            });
        }
        Ok(())
    }

    /// Holds a table of `fields` and a size in bytes against this layout.
    ///
    /// # Errors
    /// The first difference: a missing or unknown field, another place, another size.
    pub fn check(&self, fields: &[FieldSpec], size: usize) -> Result<(), LayoutError> {
        for port in &self.ports {
            let Some(field) = fields.iter().find(|field| field.name == port.name) else {
                return Err(LayoutError::MissingField {
                    port: port.name.clone(),
                    width: port.width,
                });
            };
            if (field.offset, field.size) != (port.offset, port.bytes) {
                return Err(LayoutError::Mismatch {
                    port: port.name.clone(),
                    offset: port.offset,
                    bytes: port.bytes,
                    field_offset: field.offset,
                    field_size: field.size,
                });
            }
        }
        if let Some(field) = fields
            .iter()
            .find(|field| !field.name.starts_with('_') && self.port(field.name).is_none())
        {
            return Err(LayoutError::UnknownField { field: field.name });
        }
        if size != self.size {
            return Err(LayoutError::Size {
                expected: self.size,
                actual: size,
            });
        }
        Ok(())
    }

    /// Rust source of a matching `port_struct!` declaration, padding included.
    pub fn rust_source(&self, name: &str) -> String {
        let mut text = format!("hallux_verilator::port_struct! {{\n    pub struct {name} {{\n");
        let mut end = 0;
        let mut paddings = 0;
        let mut pad = |text: &mut String, bytes: usize| {
            if bytes > 0 {
                let _ = writeln!(text, "        pub _padding{paddings}: [u8; {bytes}],");
                paddings += 1;
            }
        };
        for port in &self.ports {
            pad(&mut text, port.offset - end);
            let rust_type = match (port.width > 64, port.bytes) {
                (true, bytes) => format!("[u32; {}]", bytes / 4),
                (false, bytes) => format!("u{}", bytes * 8),
            };
            let (port_name, width) = (&port.name, port.width);
            let _ = writeln!(text, "        /// {width} bits.");
            let _ = writeln!(text, "        pub {port_name}: {rust_type},");
            end = port.offset + port.bytes;
        }
        pad(&mut text, self.size - end);
        text + "    }\n}\n"
    }
}

impl Layout {
    /// Lays out the ports of the manifest's top module.
    ///
    /// # Errors
    /// No top module, two clocks, a port without bits or with a name that C++ refuses.
    pub fn of(manifest: &Manifest) -> Result<Self, LayoutError> {
        let top = manifest.top.clone();
        let Some(module) = manifest.top_module() else {
            return Err(LayoutError::NoTop {
                design: manifest.design.clone(),
                top,
            });
        };
        let mut layout = Self {
            top: top.clone(),
            clock: None,
            inputs: PortLayout::default(),
            outputs: PortLayout::default(),
        };
        for port in &module.ports {
            let name = port.name.clone();
            if port.width == 0 {
                return Err(LayoutError::ZeroWidth { top, port: name });
            }
            if !is_plain_identifier(&name) {
                return Err(LayoutError::Name { top, port: name });
            }
            match (port.clock, port.direction) {
                (true, _) => {
                    if let Some(first) = layout.clock {
                        let second = name;
                        return Err(LayoutError::TwoClocks { top, first, second });
                    }
                    layout.clock = Some(name);
                }
                (false, Direction::In) => layout.inputs.push(&name, port.width, &port.fields),
                (false, Direction::Out) => layout.outputs.push(&name, port.width, &port.fields),
            }
        }
        Ok(layout)
    }

    /// A hash over names, widths and places; compiled into the model and compared when
    /// it is loaded.
    pub fn hash(&self) -> u64 {
        let mut hasher = Sha256::new();
        for (direction, ports) in [("in", &self.inputs), ("out", &self.outputs)] {
            hasher.update(format!("{direction} {}\n", ports.size));
            for port in &ports.ports {
                hasher.update(format!("{} {} {}\n", port.name, port.width, port.offset));
            }
        }
        let digest = hasher.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

/// True for a name that is the same identifier in SystemVerilog and C++, and that
/// Verilator does not mangle.
fn is_plain_identifier(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "alignas",
        "alignof",
        "and",
        "and_eq",
        "asm",
        "auto",
        "bitand",
        "bitor",
        "bool",
        "break",
        "case",
        "catch",
        "char",
        "class",
        "compl",
        "concept",
        "const",
        "constexpr",
        "continue",
        "co_await",
        "co_return",
        "co_yield",
        "decltype",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "explicit",
        "export",
        "extern",
        "false",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "mutable",
        "namespace",
        "new",
        "noexcept",
        "not",
        "not_eq",
        "nullptr",
        "operator",
        "or",
        "or_eq",
        "private",
        "protected",
        "public",
        "register",
        "requires",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typedef",
        "typeid",
        "typename",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "xor",
        "xor_eq",
    ];
    /// Members of every Verilated class.
    const MEMBERS: &[&str] = &[
        "NULL",
        "contextp",
        "eval",
        "eval_step",
        "final",
        "name",
        "rootp",
        "threads",
        "trace",
        "vlSymsp",
    ];
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.contains("__")
        && !KEYWORDS.contains(&name)
        && !MEMBERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::tests::manifest_of;

    #[test]
    fn ports_lie_as_a_c_compiler_would_place_them() {
        let manifest = manifest_of(
            "top",
            &[
                ("clk", Direction::In, 1),
                ("a", Direction::In, 1),
                ("b", Direction::In, 33),
                ("wide", Direction::In, 65),
                ("c", Direction::In, 9),
                ("q", Direction::Out, 512),
            ],
        );
        let layout = Layout::of(&manifest).unwrap();
        assert_eq!(layout.clock.as_deref(), Some("clk"));
        let places: Vec<_> = layout
            .inputs
            .ports
            .iter()
            .map(|p| (p.offset, p.bytes))
            .collect();
        assert_eq!(places, [(0, 1), (8, 8), (16, 12), (28, 2)]);
        assert_eq!((layout.inputs.size, layout.outputs.size), (32, 64));
    }

    #[test]
    fn a_structure_is_checked_by_name_place_and_size() {
        let manifest = manifest_of("top", &[("a", Direction::In, 8), ("b", Direction::In, 32)]);
        let inputs = Layout::of(&manifest).unwrap().inputs;
        let field = |name, offset, size| FieldSpec { name, offset, size };
        let padding = field("_padding", 1, 3);
        assert_eq!(
            inputs.check(&[field("a", 0, 1), padding, field("b", 4, 4)], 8),
            Ok(())
        );
        assert!(matches!(
            inputs.check(&[field("a", 0, 1)], 8),
            Err(LayoutError::MissingField { port, width: 32 }) if port == "b"
        ));
        assert!(matches!(
            inputs.check(&[field("a", 0, 4), field("b", 4, 4)], 8),
            Err(LayoutError::Mismatch {
                bytes: 1,
                field_size: 4,
                ..
            })
        ));
        assert!(matches!(
            inputs.check(&[field("a", 0, 1), field("b", 4, 4), field("c", 8, 1)], 12),
            Err(LayoutError::UnknownField { field: "c" })
        ));
    }

    #[test]
    fn the_written_rust_structure_has_explicit_padding() {
        let manifest = manifest_of("top", &[("a", Direction::In, 8), ("b", Direction::In, 70)]);
        let text = Layout::of(&manifest).unwrap().inputs.rust_source("Inputs");
        assert!(
            text.contains("pub a: u8,\n        pub _padding0: [u8; 3],"),
            "{text}"
        );
        assert!(text.contains("pub b: [u32; 3],"), "{text}");
    }

    #[test]
    fn names_that_cpp_would_misread_are_refused() {
        for name in ["new", "trace", "a__b", "9a", "a$b", ""] {
            let manifest = manifest_of("top", &[(name, Direction::In, 1)]);
            assert!(
                matches!(Layout::of(&manifest), Err(LayoutError::Name { .. })),
                "{name}"
            );
        }
    }
}
