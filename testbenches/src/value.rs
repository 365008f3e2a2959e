//! What ports carry: numbers of any width, and structures of named fields.

use hallux_hdl::manifest::Field;
use num_bigint::BigUint;
use std::fmt;

/// An unsigned number of any width.
///
/// Compares with integers and `bool`; prints in decimal below 10, else in hexadecimal.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(BigUint);

impl Value {
    /// The number whose bits 7..0 are `bytes[0]`, as in a frame or a DMA beat.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(BigUint::from_bytes_le(bytes))
    }

    /// The low `count` bytes, bits 7..0 first.
    pub fn to_bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes = self.0.to_bytes_le();
        bytes.resize(count, 0);
        bytes
    }

    /// The number as 64 bits.
    ///
    /// # Panics
    /// It is wider.
    #[track_caller]
    pub fn u64(&self) -> u64 {
        let mut digits = self.0.iter_u64_digits();
        let low = digits.next().unwrap_or(0);
        assert!(digits.next().is_none(), "{self} is wider than 64 bits");
        low
    }

    /// How many bits the number needs.
    pub fn bits(&self) -> u64 {
        self.0.bits()
    }

    /// The `width` bits from bit `offset` up.
    pub fn slice(&self, offset: u32, width: u32) -> Self {
        let mask = (BigUint::from(1u8) << width) - 1u8;
        Self((&self.0 >> offset) & mask)
    }

    /// This number with the bits of `part` set from bit `offset` up, where it has none.
    pub(crate) fn with_bits(&self, offset: u32, part: &Value) -> Self {
        Self(&self.0 | (&part.0 << offset))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < BigUint::from(10u8) {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:#x}", self.0)
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can be written to a port or a field.
pub trait IntoValue {
    /// The value; negative integers are refused with a panic.
    fn into_value(self) -> Value;
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for &Value {
    fn into_value(self) -> Value {
        self.clone()
    }
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value(u8::from(self).into())
    }
}

impl PartialEq<bool> for Value {
    fn eq(&self, other: &bool) -> bool {
        *self == other.into_value()
    }
}

impl IntoValue for &bool {
    fn into_value(self) -> Value {
        (*self).into_value()
    }
}

/// Bytes as in a frame: the first is bits 7..0.
impl IntoValue for &[u8] {
    fn into_value(self) -> Value {
        Value::from_bytes(self)
    }
}

macro_rules! integers {
    ($($unsigned:ty),*; $($signed:ty),*) => {
        $(impl IntoValue for $unsigned {
            fn into_value(self) -> Value {
                Value(self.into())
            }
        })*
        // Plain literals are `i32` where nothing else decides.
        $(impl IntoValue for $signed {
            #[track_caller]
            fn into_value(self) -> Value {
                match BigUint::try_from(self) {
                    Ok(value) => Value(value),
                    Err(_) => panic!("{self} is negative; ports carry unsigned numbers"),
                }
            }
        })*
        $(impl PartialEq<$unsigned> for Value {
            fn eq(&self, other: &$unsigned) -> bool {
                *self == other.into_value()
            }
        })*
        $(impl PartialEq<$signed> for Value {
            fn eq(&self, other: &$signed) -> bool {
                *other >= 0 && *self == other.into_value()
            }
        })*
    };
}

integers!(u8, u16, u32, u64, u128, usize; i32, i64);

/// Named fields on their way to a structured port; written with
/// [`fields!`](crate::fields).
pub type Fields = Vec<(&'static str, Value)>;

/// Writes named fields: `fields! { flow: 3, head.seq: 0x10, last: true }`. Fields that
/// are not named are zero.
#[macro_export]
macro_rules! fields {
    ($($first:ident $(.$rest:tt)* : $value:expr),* $(,)?) => {
        vec![$((
            concat!(stringify!($first) $(, ".", stringify!($rest))*),
            $crate::IntoValue::into_value($value),
        )),*] as $crate::Fields
    };
}

/// The value of a port together with what its fields are called.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    value: Value,
    layout: Vec<Field>,
}

impl Record {
    pub(crate) fn new(value: Value, layout: &[Field]) -> Self {
        Self {
            value,
            layout: layout.to_vec(),
        }
    }

    /// Packs `fields` as `layout` says.
    #[track_caller]
    pub(crate) fn pack(port: &str, layout: &[Field], fields: &Fields) -> Value {
        let mut packed = Value::default();
        for (name, value) in fields {
            let place = find(port, layout, name);
            assert!(
                value.bits() <= u64::from(place.width),
                "field `{name}` of `{port}` has {} bits, {value} needs {}",
                place.width,
                value.bits()
            );
            packed = packed.with_bits(place.offset, value);
        }
        packed
    }

    /// The whole value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The field `name`.
    ///
    /// # Panics
    /// There is no such field.
    #[track_caller]
    pub fn field(&self, name: &str) -> Value {
        let place = find("the record", &self.layout, name);
        self.value.slice(place.offset, place.width)
    }
}

#[track_caller]
fn find<'a>(port: &str, layout: &'a [Field], name: &str) -> &'a Field {
    layout
        .iter()
        .find(|field| field.name == name)
        .unwrap_or_else(|| {
            let names: Vec<_> = layout.iter().map(|field| field.name.as_str()).collect();
            panic!("no field `{name}` in {port}; it has {}", names.join(", "))
        })
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.layout.is_empty() {
            return write!(f, "{}", self.value);
        }
        for (index, place) in self.layout.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            let value = self.value.slice(place.offset, place.width);
            write!(f, "{space}{}={value}", place.name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Vec<Field> {
        let field = |name: &str, offset, width| Field {
            name: name.into(),
            offset,
            width,
        };
        vec![
            field("flow", 0, 16),
            field("head.seq", 16, 32),
            field("last", 48, 1),
        ]
    }

    #[test]
    fn fields_are_packed_least_significant_first_and_read_back() {
        let fields = fields! { flow: 3, head.seq: 0x1234_5678u32, last: true };
        let value = Record::pack("s_data", &layout(), &fields);
        assert_eq!(value, 0x1_1234_5678_0003u64);
        let record = Record::new(value, &layout());
        assert_eq!(record.field("head.seq"), 0x1234_5678);
        assert_eq!(record.to_string(), "flow=3 head.seq=0x12345678 last=1");
    }

    #[test]
    #[should_panic(expected = "field `last` of `s_data` has 1 bits, 2 needs 2")]
    fn a_field_takes_no_more_than_its_bits() {
        Record::pack("s_data", &layout(), &fields! { last: 2 });
    }

    #[test]
    #[should_panic(expected = "no field `sequence` in s_data; it has flow, head.seq, last")]
    fn an_unknown_field_is_named() {
        Record::pack("s_data", &layout(), &fields! { sequence: 2 });
    }

    #[test]
    fn bytes_stand_in_frame_order() {
        let value = Value::from_bytes(&[1, 2, 3]);
        assert_eq!(value, 0x030201);
        assert_eq!(value.to_bytes(4), [1, 2, 3, 0]);
    }
}
