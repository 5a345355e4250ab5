//! What `java.io.ObjectOutputStream` wrote, as far as the predecessor used it.
//!
//! The format is that of the Java Object Serialization Specification, chapter 6. Any bytes may come: nothing here
//! takes more memory than a small multiple of them, or goes deeper than [`DEPTH`].

use std::rc::Rc;
use thiserror::Error;

/// A value in the stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Java {
    Null,
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    Object(Rc<Object>),
    /// Something that the predecessor did not store.
    Other,
}

/// An object: its class, its fields, and what its class wrote by itself.
#[derive(Debug, PartialEq)]
pub(super) struct Object {
    pub(super) class: Rc<str>,
    fields: Vec<(Rc<str>, Java)>,
    written: Vec<Java>,
}

/// Why a stream cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(in super::super) enum JavaError {
    #[error("it is not what Java's ObjectOutputStream writes")]
    NoStream,
    #[error("it ends in the middle")]
    Ended,
    #[error("it has something of type {0:#04x}, which is not understood")]
    Unknown(u8),
    #[error("it refers to something that is not there")]
    Reference,
    #[error("it is nested too deeply")]
    Depth,
}

type Result<T> = std::result::Result<T, JavaError>;

/// Reads the first value of a stream.
pub(super) fn parse(bytes: &[u8]) -> Result<Java> {
    let rest = bytes.strip_prefix(&[0xac, 0xed, 0x00, 0x05]).ok_or(JavaError::NoStream)?;
    let mut reader = Reader { rest, handles: Vec::new() };
    match reader.content(0)? {
        Content::Value(value) => Ok(value),
        Content::Class(_) | Content::End | Content::Block => Ok(Java::Other),
    }
}

/// A message of Protocol Buffers, which Java stores as the name of its class and its bytes.
pub(super) fn message(value: &Java) -> Option<&[u8]> {
    let Java::Object(object) = value else { return None };
    if !object.class.ends_with("GeneratedMessageLite$SerializedForm") {
        return None;
    }
    object.fields.iter().find_map(|(name, value)| match value {
        Java::Bytes(bytes) if &**name == "asBytes" => Some(&**bytes),
        _ => None,
    })
}

/// How many messages a list or a set has.
pub(super) fn messages(value: &Java) -> usize {
    let Java::Object(object) = value else { return 0 };
    object.written.iter().filter(|value| message(value).is_some()).count()
}

#[derive(Debug)]
struct Class {
    name: Rc<str>,
    flags: u8,
    /// Type and name.
    fields: Vec<(u8, Rc<str>)>,
    parent: Option<Rc<Class>>,
}

#[derive(Clone, Debug)]
enum Handle {
    Class(Rc<Class>),
    Value(Java),
}

enum Content {
    Value(Java),
    Class(Option<Rc<Class>>),
    Block,
    End,
}

struct Reader<'b> {
    rest: &'b [u8],
    /// What later parts of the stream may refer to.
    handles: Vec<Handle>,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(JavaError::Ended)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many were taken"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn short(&mut self) -> Result<usize> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    /// A length, which is never negative.
    fn length(&mut self) -> Result<usize> {
        usize::try_from(i32::from_be_bytes(self.array()?)).map_err(|_| JavaError::Ended)
    }

    fn text(&mut self, length: usize) -> Result<Rc<str>> {
        Ok(String::from_utf8_lossy(self.take(length)?).into())
    }

    fn name(&mut self) -> Result<Rc<str>> {
        let length = self.short()?;
        self.text(length)
    }

    /// Gives what was read a number.
    fn keep(&mut self, value: Java) -> Content {
        self.handles.push(Handle::Value(value.clone()));
        Content::Value(value)
    }

    fn reference(&mut self) -> Result<Handle> {
        let number =
            u32::from_be_bytes(self.array()?).checked_sub(FIRST_HANDLE).ok_or(JavaError::Reference)?;
        self.handles.get(number as usize).cloned().ok_or(JavaError::Reference)
    }

    fn content(&mut self, depth: usize) -> Result<Content> {
        if depth > DEPTH {
            return Err(JavaError::Depth);
        }
        Ok(match self.byte()? {
            NULL => Content::Value(Java::Null),
            REFERENCE => match self.reference()? {
                Handle::Class(class) => Content::Class(Some(class)),
                Handle::Value(value) => Content::Value(value),
            },
            CLASS_DESCRIPTION => Content::Class(Some(self.new_class(depth)?)),
            STRING => {
                let text = self.name()?;
                self.keep(Java::Text(text))
            }
            LONG_STRING => {
                let length = u64::from_be_bytes(self.array()?);
                let text = self.text(usize::try_from(length).map_err(|_| JavaError::Ended)?)?;
                self.keep(Java::Text(text))
            }
            OBJECT => Content::Value(self.object(depth)?),
            ARRAY => Content::Value(self.list(depth)?),
            CLASS => {
                self.class(depth)?;
                self.keep(Java::Other)
            }
            ENUM => {
                self.class(depth)?;
                self.handles.push(Handle::Value(Java::Other));
                self.content(depth + 1)?;
                Content::Value(Java::Other)
            }
            BLOCK => {
                let length = usize::from(self.byte()?);
                self.take(length)?;
                Content::Block
            }
            LONG_BLOCK => {
                let length = self.length()?;
                self.take(length)?;
                Content::Block
            }
            END => Content::End,
            other => return Err(JavaError::Unknown(other)),
        })
    }

    fn value(&mut self, depth: usize) -> Result<Java> {
        match self.content(depth + 1)? {
            Content::Value(value) => Ok(value),
            Content::Class(_) => Ok(Java::Other),
            Content::Block => Err(JavaError::Unknown(BLOCK)),
            Content::End => Err(JavaError::Unknown(END)),
        }
    }

    fn class(&mut self, depth: usize) -> Result<Option<Rc<Class>>> {
        match self.content(depth + 1)? {
            Content::Class(class) => Ok(class),
            Content::Value(Java::Null) => Ok(None),
            _ => Err(JavaError::Reference),
        }
    }

    fn new_class(&mut self, depth: usize) -> Result<Rc<Class>> {
        let name = self.name()?;
        self.take(8)?;
        let number = self.handles.len();
        self.handles.push(Handle::Value(Java::Other));
        let flags = self.byte()?;
        let mut fields = Vec::new();
        for _ in 0..self.short()? {
            let kind = self.byte()?;
            fields.push((kind, self.name()?));
            if matches!(kind, b'L' | b'[') {
                self.value(depth)?;
            }
        }
        self.written(depth)?;
        let parent = self.class(depth)?;
        let class = Rc::new(Class { name, flags, fields, parent });
        self.handles[number] = Handle::Class(class.clone());
        Ok(class)
    }

    /// What a class wrote by itself.
    fn written(&mut self, depth: usize) -> Result<Vec<Java>> {
        let mut written = Vec::new();
        loop {
            match self.content(depth + 1)? {
                Content::End => return Ok(written),
                Content::Value(value) => written.push(value),
                Content::Block | Content::Class(_) => {}
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Java> {
        let class = self.class(depth)?.ok_or(JavaError::Reference)?;
        let number = self.handles.len();
        self.handles.push(Handle::Value(Java::Other));
        // The data begins with that of the class farthest up.
        let mut line = vec![class.clone()];
        while let Some(parent) = line.last().and_then(|class| class.parent.clone()) {
            if line.len() > DEPTH {
                return Err(JavaError::Depth);
            }
            line.push(parent);
        }
        let mut object = Object { class: class.name.clone(), fields: Vec::new(), written: Vec::new() };
        for class in line.iter().rev() {
            if class.flags & SERIALIZABLE != 0 {
                for (kind, name) in &class.fields {
                    let value = self.field(*kind, depth)?;
                    object.fields.push((name.clone(), value));
                }
            }
            let writes = class.flags & SERIALIZABLE != 0 && class.flags & WRITES != 0;
            let writes_blocks = class.flags & EXTERNALIZABLE != 0 && class.flags & BLOCKS != 0;
            if writes || writes_blocks {
                object.written.append(&mut self.written(depth)?);
            }
        }
        let object = Java::Object(Rc::new(object));
        self.handles[number] = Handle::Value(object.clone());
        Ok(object)
    }

    fn field(&mut self, kind: u8, depth: usize) -> Result<Java> {
        if matches!(kind, b'L' | b'[') {
            return self.value(depth);
        }
        self.take(size_of(kind)?)?;
        Ok(Java::Other)
    }

    fn list(&mut self, depth: usize) -> Result<Java> {
        let class = self.class(depth)?.ok_or(JavaError::Reference)?;
        let number = self.handles.len();
        self.handles.push(Handle::Value(Java::Other));
        let length = self.length()?;
        let value = match class.name.as_bytes().get(1) {
            Some(b'B') => Java::Bytes(self.take(length)?.into()),
            Some(b'L' | b'[') => {
                for _ in 0..length {
                    self.value(depth)?;
                }
                Java::Other
            }
            kind => {
                let size = size_of(kind.copied().unwrap_or_default())?;
                self.take(size.checked_mul(length).ok_or(JavaError::Ended)?)?;
                Java::Other
            }
        };
        self.handles[number] = Handle::Value(value.clone());
        Ok(value)
    }
}

fn size_of(kind: u8) -> Result<usize> {
    match kind {
        b'B' | b'Z' => Ok(1),
        b'C' | b'S' => Ok(2),
        b'I' | b'F' => Ok(4),
        b'J' | b'D' => Ok(8),
        other => Err(JavaError::Unknown(other)),
    }
}

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS_DESCRIPTION: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const CLASS: u8 = 0x76;
const BLOCK: u8 = 0x77;
const END: u8 = 0x78;
const LONG_BLOCK: u8 = 0x7a;
const LONG_STRING: u8 = 0x7c;
const ENUM: u8 = 0x7e;
const FIRST_HANDLE: u32 = 0x7e_0000;

const WRITES: u8 = 1;
const SERIALIZABLE: u8 = 2;
const EXTERNALIZABLE: u8 = 4;
const BLOCKS: u8 = 8;

const DEPTH: usize = 64;
