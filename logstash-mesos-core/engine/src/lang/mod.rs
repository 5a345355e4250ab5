//! The configuration language: text → tokens → syntax tree, with everything that is wrong said at once.
//!
//! The language is Logstash's, with its accidents: a bareword has two characters at least, `[a]` is a field
//! in a condition and a list in a setting, `"\\"` is a string that has not ended.

pub mod absent;
pub mod ast;
mod condition;
pub mod diagnostic;
pub mod encoding;
mod kind;
pub mod lexer;
mod parser;
mod recovery;
pub mod similar;
pub mod token;
mod value;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use kind::PluginKind;
pub use parser::parse;
pub use token::Span;
