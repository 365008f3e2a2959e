//! TOML documents: read, overridden from the command line, and turned into typed
//! values, with every mistake located in the file or in the override that made it.

use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};
use toml_edit::{Document as Spans, Item, Table as SpanTable};

/// A mistake in a TOML document: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentError {
    /// Where the mistake was made.
    pub place: Place,
    /// Dotted key, empty for a mistake of syntax.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The source line, where there is one.
    pub line: Option<String>,
}

/// The origin of a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, with line and column (from 1) where they are known.
    File(PathBuf, Option<(usize, usize)>),
    /// A `--set KEY=VALUE`.
    Override(String),
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path, Some((line, column))) => {
                write!(f, "{}:{line}:{column}: {}", path.display(), self.message)?;
                if let Some(text) = &self.line {
                    let number = line.to_string();
                    let pad = " ".repeat(number.len());
                    write!(
                        f,
                        "\n {pad} |\n {number} | {text}\n {pad} | {}^",
                        " ".repeat(column - 1)
                    )?;
                }
                Ok(())
            }
            Place::File(path, None) => write!(f, "{}: {}", path.display(), self.message),
            Place::Override(text) => write!(f, "--set {text}: {}", self.message),
        }
    }
}

/// A parsed document that remembers where its keys stand.
#[derive(Debug, Clone)]
pub struct Document {
    path: PathBuf,
    text: String,
    table: toml::Table,
    overrides: Vec<(Vec<String>, String)>,
}

impl Document {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML.
    pub fn read(path: &Path) -> Result<Self, DocumentError> {
        let text = std::fs::read_to_string(path).map_err(|error| DocumentError {
            place: Place::File(path.into(), None),
            key: String::new(),
            message: format!("cannot read the file: {error}"),
            line: None,
        })?;
        Self::parse(path, text)
    }

    /// The comment at the head of the file, as one paragraph; empty if there is none.
    pub fn heading(&self) -> String {
        let comments = self.text.lines().map(|line| line.trim().strip_prefix('#'));
        let comments = comments.map_while(|comment| comment).map(str::trim);
        comments.collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    /// Parses `text` as if it had been read from `path`.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn parse(path: &Path, text: String) -> Result<Self, DocumentError> {
        match text.parse::<toml::Table>() {
            Ok(table) => Ok(Self {
                path: path.into(),
                text,
                table,
                overrides: vec![],
            }),
            Err(error) => {
                let at = error.span().map(|span| position(&text, span.start));
                Err(DocumentError {
                    line: at
                        .and_then(|(line, _)| text.lines().nth(line - 1))
                        .map(str::to_owned),
                    place: Place::File(path.into(), at),
                    key: String::new(),
                    message: format!("not valid TOML: {}", error.message().replace('\n', ", ")),
                })
            }
        }
    }

    /// Where the document was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Applies one `KEY=VALUE`: the key is dotted, the value TOML or else a string.
    ///
    /// # Errors
    /// No `=`, an empty key, or a key that runs through a value that is no table.
    pub fn set(&mut self, assignment: &str) -> Result<(), DocumentError> {
        let fail = |message: String| DocumentError {
            place: Place::Override(assignment.into()),
            key: String::new(),
            message,
            line: None,
        };
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| fail("write it as KEY=VALUE, for example link.loss=0.01".into()))?;
        let path: Vec<String> = key
            .trim()
            .split('.')
            .map(|part| part.trim().to_owned())
            .collect();
        if path.iter().any(String::is_empty) {
            return Err(fail(format!("`{key}` is not a dotted key")));
        }
        let value = format!("v = {}", value.trim())
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.trim().to_owned()));
        let (last, tables) = path.split_last().expect("a split has at least one part");
        let mut table = &mut self.table;
        for part in tables {
            table = table
                .entry(part.clone())
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .ok_or_else(|| fail(format!("`{part}` is a value, not a section")))?;
        }
        table.insert(last.clone(), value);
        self.overrides.push((path, assignment.to_owned()));
        Ok(())
    }

    /// Whether an override gave the dotted `key` its value.
    pub fn is_overridden(&self, key: &str) -> bool {
        self.overrides.iter().any(|(path, _)| path.join(".") == key)
    }

    /// The value of the whole document.
    ///
    /// # Errors
    /// A key is unknown, missing, or has a value of the wrong kind or unit; located.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        serde_path_to_error::deserialize(toml::Value::Table(self.table.clone())).map_err(|error| {
            let path: Vec<String> = error
                .path()
                .iter()
                .filter_map(|segment| match segment {
                    serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                    serde_path_to_error::Segment::Enum { variant } => Some(variant.clone()),
                    _ => None,
                })
                .collect();
            self.explain(path, error.inner().message())
        })
    }

    /// A mistake at a dotted key that validation found after decoding.
    pub fn error(&self, key: &str, message: impl Into<String>) -> DocumentError {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.locate(path, message.into())
    }

    fn explain(&self, mut path: Vec<String>, message: &str) -> DocumentError {
        let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
        if message.starts_with("unknown field") {
            let name = quoted.next().unwrap_or_default();
            if path.last() != Some(&name) {
                path.push(name.clone());
            }
            let known: Vec<String> = quoted.collect();
            let near = known
                .iter()
                .map(|key| (strsim::damerau_levenshtein(key, &name), key))
                .filter(|(distance, key)| *distance <= 1 + key.len() / 3)
                .min();
            let hint = match near {
                Some((_, key)) => format!("did you mean `{key}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            return self.locate(
                path.clone(),
                format!("unknown key `{}`; {hint}", path.join(".")),
            );
        }
        if message.starts_with("missing field") {
            let name = quoted.next().unwrap_or_default();
            let mut full = path.clone();
            full.push(name);
            return self.locate(path, format!("the key `{}` is missing", full.join(".")));
        }
        let key = path.join(".");
        self.locate(path, format!("`{key}`: {}", message.trim_end()))
    }

    fn locate(&self, path: Vec<String>, message: String) -> DocumentError {
        let key = path.join(".");
        if let Some((_, text)) = self.overrides.iter().rev().find(|(set, _)| *set == path) {
            return DocumentError {
                place: Place::Override(text.clone()),
                key,
                message,
                line: None,
            };
        }
        let at = Spans::parse(self.text.as_str())
            .ok()
            .and_then(|document| span_of(document.as_table(), &path))
            .map(|offset| position(&self.text, offset));
        DocumentError {
            line: at
                .and_then(|(line, _)| self.text.lines().nth(line - 1))
                .map(str::to_owned),
            place: Place::File(self.path.clone(), at),
            key,
            message,
        }
    }
}

/// Byte offset of the deepest part of `path` that stands in the document.
fn span_of(table: &SpanTable, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, item) = table.get_key_value(first)?;
    let here = key.span().or_else(|| item.span()).map(|span| span.start);
    let deeper = match item {
        Item::Table(inner) => span_of(inner, rest),
        Item::Value(value) => value.as_inline_table().and_then(|inner| {
            let (key, value) = inner.get_key_value(rest.first()?)?;
            key.span().or_else(|| value.span()).map(|span| span.start)
        }),
        _ => None,
    };
    deeper.or(here)
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        link: Link,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Link {
        loss: f64,
        rate: crate::units::BitRate,
    }

    fn document(text: &str) -> Document {
        Document::parse(Path::new("s.toml"), text.into()).unwrap()
    }

    #[test]
    fn unknown_keys_are_located_and_corrected() {
        let error = document("[link]\nrate = \"1Gbps\"\nlos = 0.1\n")
            .decode::<Sample>()
            .unwrap_err();
        assert_eq!(error.place, Place::File("s.toml".into(), Some((3, 1))));
        assert_eq!(
            error.message,
            "unknown key `link.los`; did you mean `loss`?"
        );
    }

    #[test]
    fn wrong_units_are_located() {
        let error = document("[link]\nloss = 0\nrate = \"1Gb\"\n")
            .decode::<Sample>()
            .unwrap_err();
        assert!(
            error.to_string().starts_with("s.toml:3:1: `link.rate`"),
            "{error}"
        );
    }

    #[test]
    fn mistakes_in_overrides_name_the_override() {
        let mut d = document("[link]\nloss = 0.0\nrate = \"1Gbps\"\n");
        d.set("link.rate=7").unwrap();
        let error = d.decode::<Sample>().unwrap_err();
        assert!(
            error.to_string().starts_with("--set link.rate=7: "),
            "{error}"
        );
        d.set("link.rate=10Gbps").unwrap();
        assert_eq!(d.decode::<Sample>().unwrap().link.rate.0, 10_000_000_000);
        assert!(d.set("nonsense").is_err());
        assert!(d.set("link.rate.deeper=1").is_err());
    }

    #[test]
    fn missing_keys_and_bad_syntax_are_told() {
        let error = document("[link]\nloss = 0.0\n")
            .decode::<Sample>()
            .unwrap_err();
        assert!(error.message.contains("`link.rate` is missing"), "{error}");
        let error = Document::parse(Path::new("s.toml"), "[link\n".into()).unwrap_err();
        assert!(
            matches!(error.place, Place::File(_, Some((1, _)))),
            "{error}"
        );
    }
}
