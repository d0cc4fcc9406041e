//! Chat templates as transformers runs them (`utils/chat_template_utils.py` of transformers 5).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::resume_unwind;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::limits::{with_limits, Limits, Over};
use crate::python::{to_json, to_str, JsonStyle};

const SOURCE_BYTES_MAX: usize = 1 << 20;
const INPUT_BYTES_MAX: usize = 64 << 20;
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Of one rendering; the memory is of its output and of all values together.
const LIMITS: Limits = Limits { bytes: 256 << 20, stack_bytes: 2 << 20, seconds: 1 };
/// Instructions. A step can nest a value one level deeper, and a level takes 80 bytes of the stack when the value is
/// dropped. Any thread's stack is enough for the usual steps, which are those of hundreds of messages; a
/// rendering that takes more gets a thread for as many levels as the limit on memory allows.
const STEPS_USUAL: u64 = 40_000;
const STEPS_MAX: u64 = 5_000_000;
const LARGE_STACK_BYTES: usize = 512 << 20;
const NAME: &str = "chat_template";
/// The names a message's reasoning goes under; the first is the one that templates read.
const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    pub fn parse(source: &str, bos: &str, eos: &str) -> Result<Self, Failure> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(Failure(format!(
                "the chat template has {} bytes, the limit is {SOURCE_BYTES_MAX}",
                source.len()
            )));
        }
        let mut environment = new_environment();
        for (name, token) in [("bos_token", bos), ("eos_token", eos)] {
            if !token.is_empty() {
                environment.add_global(name, token.to_string());
            }
        }
        // Constant expressions are computed here.
        limited(|| {
            environment
                .add_template_owned(NAME, without_generation_tags(source))
                .map_err(|e| Failure(format!("cannot parse the chat template: {}", describe(&e))))
        })?;
        Ok(ChatTemplate { environment })
    }

    /// `messages` is a JSON array of objects; `tools` one too, or empty.
    pub fn render(
        &self,
        messages: &str,
        tools: &str,
        add_generation_prompt: bool,
    ) -> Result<String, Failure> {
        if messages.len() + tools.len() > INPUT_BYTES_MAX {
            return Err(Failure(format!("the messages have more than {INPUT_BYTES_MAX} bytes")));
        }
        let messages = parse_messages(messages)?;
        let tools = if tools.is_empty() {
            Value::from(())
        } else {
            Value::from_serialize(parse_json(tools, "tools")?)
        };
        let context = BTreeMap::from([
            ("messages", Value::from_serialize(messages)),
            ("tools", tools),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ]);
        if let Some(text) = run(&self.environment, &context)? {
            return Ok(text);
        }
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(STEPS_MAX));
        on_large_stack(|| run(&environment, &context))?
            .ok_or_else(|| Failure(format!("the chat template takes more than {STEPS_MAX} steps")))
    }
}

/// None when the steps do not suffice.
fn run(environment: &Environment, context: &BTreeMap<&str, Value>) -> Result<Option<String>, Failure> {
    limited(|| {
        let template = environment.get_template(NAME).map_err(|e| Failure(describe(&e)))?;
        let mut output = Bounded(Vec::new());
        match template.render_captured_to(context, &mut output) {
            Ok(_) => String::from_utf8(output.0)
                .map(Some)
                .map_err(|_| Failure("the chat template's output is not UTF-8".into())),
            Err(e) if e.kind() == ErrorKind::OutOfFuel => Ok(None),
            Err(e) if e.kind() == ErrorKind::WriteFailure => {
                Err(Failure(format!("the chat template writes more than {OUTPUT_BYTES_MAX} bytes")))
            }
            Err(e) => Err(Failure(format!("cannot apply the chat template: {}", describe(&e)))),
        }
    })
}

fn limited<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    with_limits(&LIMITS, body).unwrap_or_else(|over| {
        Err(Failure(match over {
            Over::Memory => format!("the chat template takes more than {} bytes of memory", LIMITS.bytes),
            Over::Stack => "the chat template nests values or calls too deep".into(),
            Over::Time => format!("the chat template takes more than {} s of processor time", LIMITS.seconds),
        }))
    })
}

fn on_large_stack<T: Send>(body: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(LARGE_STACK_BYTES)
            .spawn_scoped(scope, body)
            .map_err(|e| Failure(format!("cannot start a thread for the chat template: {e}")))?
            .join()
            .unwrap_or_else(|payload| resume_unwind(payload))
    })
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other("output limit"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn new_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(STEPS_USUAL));
    environment.set_unknown_method_callback(call_method);
    environment.set_formatter(|out, _, value| match value.as_str() {
        Some(text) => out.write_str(text).map_err(Error::from),
        None => out.write_str(&to_str(value)).map_err(Error::from),
    });
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: Value| to_str(&value));
    // In Python a text and a mapping have a length and items too.
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment.add_test("iterable", |value: &Value| {
        !value.is_none() && (value.is_undefined() || value.try_iter().is_ok())
    });
    environment
        .add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", strftime_now);
    environment
}

/// transformers marks the assistant's text with `{% generation %}`; it prints as a plain block with its own
/// scope, which `with` is.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        match tag.trim_matches(|c: char| "{}%+-".contains(c) || c.is_whitespace()) {
            "generation" => out.push_str(&tag.replace("generation", "with")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endwith")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn parse_json(text: &str, what: &str) -> Result<Json, Failure> {
    serde_json::from_str(text).map_err(|e| Failure(format!("cannot read the {what}: {e}")))
}

fn parse_messages(text: &str) -> Result<Vec<Json>, Failure> {
    let Json::Array(mut messages) = parse_json(text, "messages")? else {
        return Err(Failure("the messages must be an array".into()));
    };
    for message in &mut messages {
        let Json::Object(fields) = message else {
            return Err(Failure(format!("a message must be an object, not {message}")));
        };
        let reasoning = REASONING_FIELDS
            .iter()
            .find_map(|name| fields.get(*name).filter(|value| !value.is_null()).cloned());
        if let Some(reasoning) = reasoning {
            fields.entry("thinking").or_insert_with(|| reasoning.clone());
            fields.insert("reasoning_content".into(), reasoning);
        }
    }
    Ok(messages)
}

/// The message with the line it is about.
fn describe(error: &Error) -> String {
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    if let Some(line) = error.line() {
        text += &format!(" (line {line} of the template)");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// `json.dumps` with the options transformers passes on, in its order.
fn tojson(value: Value, positional: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let option = |place: usize, name: &str| -> Result<Value, Error> {
        match positional.get(place) {
            Some(value) => Ok(value.clone()),
            None => Ok(named.get::<Option<Value>>(name)?.unwrap_or_default()),
        }
    };
    let mut style = JsonStyle { ensure_ascii: option(0, "ensure_ascii")?.is_true(), ..JsonStyle::default() };
    let indent = option(1, "indent")?;
    if let Some(text) = indent.as_str() {
        style.indent = Some(text.to_string());
    } else if !indent.is_none() && !indent.is_undefined() {
        let width = i64::try_from(indent.clone()).or_else(|e| match indent.kind() {
            ValueKind::Bool => Ok(i64::from(indent.is_true())),
            _ => Err(e),
        })?;
        style.indent = Some(" ".repeat(width.max(0) as usize));
    }
    if style.indent.is_some() {
        style.item_separator = ",".into();
    }
    let separators = option(2, "separators")?;
    if separators.kind() == ValueKind::Seq {
        let get = |i: usize| separators.get_item_by_index(i).map(|v| to_str(&v));
        style.item_separator = get(0)?;
        style.key_separator = get(1)?;
    }
    style.sort_keys = option(3, "sort_keys")?.is_true();
    named.assert_all_used()?;
    to_json(&value, &style).map(Value::from)
}

fn strftime_now(format: String) -> Result<String, Error> {
    let invalid = |message: &str| Error::new(ErrorKind::InvalidOperation, message.to_string());
    if format.len() > 256 {
        return Err(invalid("strftime_now: the format is too long"));
    }
    if format.is_empty() {
        return Ok(format);
    }
    let format = std::ffi::CString::new(format).map_err(|_| invalid("strftime_now: the format has a NUL"))?;
    let mut buffer = [0u8; 4096];
    let written = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now, &mut parts).is_null() {
            return Err(invalid("strftime_now: no local time"));
        }
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &parts)
    };
    Ok(String::from_utf8_lossy(&buffer[..written]).into_owned())
}

/// Methods of Python's str, list and dict: those of minijinja-contrib, and what it lacks.
fn call_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let argument = args.first().and_then(Value::as_str);
    match (value.as_str(), method, argument) {
        (Some(text), "removeprefix", Some(prefix)) => {
            return Ok(text.strip_prefix(prefix).unwrap_or(text).into());
        }
        (Some(text), "removesuffix", Some(suffix)) => {
            return Ok(text.strip_suffix(suffix).unwrap_or(text).into());
        }
        (Some(text), "partition", Some(separator)) if !separator.is_empty() => {
            let parts = text.split_once(separator).map(|(a, b)| vec![a, separator, b]);
            return Ok(texts(&parts.unwrap_or_else(|| vec![text, "", ""])));
        }
        (Some(text), "rpartition", Some(separator)) if !separator.is_empty() => {
            let parts = text.rsplit_once(separator).map(|(a, b)| vec![a, separator, b]);
            return Ok(texts(&parts.unwrap_or_else(|| vec!["", "", text])));
        }
        (Some(text), "rsplit", Some(separator)) if !separator.is_empty() => {
            let limit = args.get(1).map_or(Ok(-1), |v| i64::try_from(v.clone()))?;
            let mut parts: Vec<&str> = match usize::try_from(limit) {
                Ok(limit) => text.rsplitn(limit.saturating_add(1), separator).collect(),
                Err(_) => text.rsplit(separator).collect(),
            };
            parts.reverse();
            return Ok(texts(&parts));
        }
        _ => {}
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn texts(parts: &[&str]) -> Value {
    parts.iter().map(|part| Value::from(*part)).collect()
}
