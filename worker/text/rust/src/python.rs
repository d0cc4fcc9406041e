//! Values written the way Python writes them: `json.dumps` for `tojson`, `str` and `repr` for printing.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::Value as Json;

/// The options of `json.dumps` that transformers' `tojson` passes on.
pub struct JsonStyle {
    pub ensure_ascii: bool,
    pub indent: Option<String>,
    pub item_separator: String,
    pub key_separator: String,
    pub sort_keys: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        JsonStyle {
            ensure_ascii: false,
            indent: None,
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            sort_keys: false,
        }
    }
}

pub fn to_json(value: &Value, style: &JsonStyle) -> Result<String, Error> {
    let json = serde_json::to_value(value)
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, "cannot serialize to JSON").with_source(e))?;
    let mut out = String::new();
    write_json(&json, style, 0, &mut out);
    Ok(out)
}

fn write_json(value: &Json, style: &JsonStyle, depth: usize, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => out.push_str(&i.to_string()),
            (_, Some(u), _) => out.push_str(&u.to_string()),
            (_, _, Some(f)) => out.push_str(&float_repr(f)),
            _ => out.push_str(&n.to_string()),
        },
        Json::String(s) => write_json_string(s, style.ensure_ascii, out),
        Json::Array(items) => {
            let items = items.iter().map(|item| (None, item));
            write_json_container(('[', ']'), items, style, depth, out);
        }
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, item)| (Some(key), item)).collect();
            if style.sort_keys {
                entries.sort_by_key(|(key, _)| *key);
            }
            write_json_container(('{', '}'), entries.into_iter(), style, depth, out);
        }
    }
}

fn write_json_container<'a>(
    brackets: (char, char),
    items: impl ExactSizeIterator<Item = (Option<&'a String>, &'a Json)>,
    style: &JsonStyle,
    depth: usize,
    out: &mut String,
) {
    out.push(brackets.0);
    let empty = items.len() == 0;
    for (position, (key, item)) in items.enumerate() {
        if position > 0 {
            out.push_str(&style.item_separator);
        }
        new_line(style, depth + 1, out);
        if let Some(key) = key {
            write_json_string(key, style.ensure_ascii, out);
            out.push_str(&style.key_separator);
        }
        write_json(item, style, depth + 1, out);
    }
    if !empty {
        new_line(style, depth, out);
    }
    out.push(brackets.1);
}

fn new_line(style: &JsonStyle, depth: usize, out: &mut String) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

fn write_json_string(text: &str, ensure_ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (ensure_ascii && (c as u32) >= 0x7f) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `repr(float)`: the shortest digits that read back equal, with an exponent below 1e-4 and from 1e16 on.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').expect("an exponent was asked for");
        let exponent: i32 = exponent.parse().expect("an exponent is a number");
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value:?}")
}

/// `str(value)`: what `{{ value }}` prints in Jinja2.
pub fn to_str(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().map_or_else(|| value.to_string(), str::to_string),
        _ => to_repr(value),
    }
}

fn to_repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => "Undefined".into(),
        ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float_repr)
        }
        ValueKind::String => value.as_str().map_or_else(|| value.to_string(), string_repr),
        ValueKind::Seq => {
            let items: Vec<_> = value.try_iter().into_iter().flatten().map(|v| to_repr(&v)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let entry = |key: Value| {
                let item = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", to_repr(&key), to_repr(&item))
            };
            let items: Vec<_> = value.try_iter().into_iter().flatten().map(entry).collect();
            format!("{{{}}}", items.join(", "))
        }
        _ => value.to_string(),
    }
}

fn string_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}
