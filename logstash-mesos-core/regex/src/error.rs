//! What can be wrong with a pattern, and what can go wrong while matching.

use std::fmt;

use thiserror::Error;

/// Why a pattern was refused.
///
/// The texts are those that Ruby prints, since people search for them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct RegexError {
    /// What is wrong.
    pub kind: RegexErrorKind,
    /// Where in the pattern, in bytes.
    pub offset: usize,
}

impl RegexError {
    pub(super) fn new(kind: RegexErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

/// The kinds of mistakes in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegexErrorKind {
    /// A class such as `[]` with nothing in it.
    EmptyClass,
    /// A `[` that is never closed.
    PrematureEndOfClass,
    /// The pattern ends with a backslash.
    EndAtEscape,
    /// The pattern ends within `\M-`.
    EndAtMeta,
    /// The pattern ends within `\C-` or `\c`.
    EndAtControl,
    /// `\M` without a minus sign.
    MetaSyntax,
    /// `\C` without a minus sign.
    ControlSyntax,
    /// A class such as `[a-\d]`.
    ClassAtEndOfRange,
    /// A class such as `[\d-a]`.
    UnmatchedRange,
    /// A range whose end lies before its start.
    EmptyRange,
    /// A quantifier with nothing to repeat.
    RepeatTargetMissing,
    /// A `)` without `(`.
    UnmatchedClose,
    /// A `(` without `)`.
    UnmatchedOpen,
    /// The pattern ends within `(?`.
    EndInGroup,
    /// An unknown character after `(?`.
    UndefinedGroupOption,
    /// An unknown name in `[[:name:]]`.
    InvalidPosixBracket,
    /// A look-behind of variable length, or with something that is not allowed in it.
    InvalidLookBehind,
    /// A condition that is not a group.
    InvalidCondition,
    /// A number that is too big.
    TooBigNumber,
    /// A repeat count that is too big.
    TooBigRepeat,
    /// `{5,3}`.
    RepeatRangeOrder,
    /// A reference to a group that does not exist.
    InvalidBackref,
    /// A numbered reference where groups have names.
    NumberedBackref,
    /// Fewer hexadecimal digits than needed.
    TooShortDigits,
    /// A code point that does not exist.
    InvalidCodePoint,
    /// `\xHH` bytes that are not UTF-8.
    TooShortMultibyte,
    /// `(?<>…)`.
    EmptyGroupName,
    /// A group name that cannot be one.
    InvalidGroupName(String),
    /// A reference to a name that no group has so far.
    UndefinedName(String),
    /// A call of a group that does not exist.
    UndefinedGroup(String),
    /// A call of a name that several groups have.
    MultiplexCall(String),
    /// An unknown name in `\p{…}`.
    InvalidProperty(String),
    /// A `\p{` that is never closed.
    PropertyNotTerminated(String),
    /// A group that calls itself before it consumes anything.
    NeverEndingRecursion,
    /// More groups than allowed.
    TooManyGroups,
    /// The pattern is longer than allowed.
    TooLong,
    /// Groups are nested deeper than allowed.
    TooDeep,
    /// The compiled program would be larger than allowed.
    TooLarge,
}

impl fmt::Display for RegexErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::EmptyClass => "empty char-class",
            Self::PrematureEndOfClass => "premature end of char-class",
            Self::EndAtEscape => "end pattern at escape",
            Self::EndAtMeta => "end pattern at meta",
            Self::EndAtControl => "end pattern at control",
            Self::MetaSyntax => "invalid meta-code syntax",
            Self::ControlSyntax => "invalid control-code syntax",
            Self::ClassAtEndOfRange => "char-class value at end of range",
            Self::UnmatchedRange => "unmatched range specifier in char-class",
            Self::EmptyRange => "empty range in char class",
            Self::RepeatTargetMissing => "target of repeat operator is not specified",
            Self::UnmatchedClose => "unmatched close parenthesis",
            Self::UnmatchedOpen => "end pattern with unmatched parenthesis",
            Self::EndInGroup => "end pattern in group",
            Self::UndefinedGroupOption => "undefined group option",
            Self::InvalidPosixBracket => "invalid POSIX bracket type",
            Self::InvalidLookBehind => "invalid pattern in look-behind",
            Self::InvalidCondition => "invalid conditional pattern",
            Self::TooBigNumber => "too big number",
            Self::TooBigRepeat => "too big number for repeat range",
            Self::RepeatRangeOrder => "upper is smaller than lower in repeat range",
            Self::InvalidBackref => "invalid backref number/name",
            Self::NumberedBackref => "numbered backref/call is not allowed. (use name)",
            Self::TooShortDigits => "too short digits",
            Self::InvalidCodePoint => "invalid code point value",
            Self::TooShortMultibyte => "too short multibyte code string",
            Self::EmptyGroupName => "group name is empty",
            Self::InvalidGroupName(name) => return write!(f, "invalid group name <{name}>"),
            Self::UndefinedName(name) => return write!(f, "undefined name <{name}> reference"),
            Self::UndefinedGroup(name) => return write!(f, "undefined group <{name}> reference"),
            Self::MultiplexCall(name) => return write!(f, "multiplex definition name <{name}> call"),
            Self::InvalidProperty(name) => return write!(f, "invalid character property name {{{name}}}"),
            Self::PropertyNotTerminated(name) => {
                return write!(f, "property name never terminated \\p{{{name}");
            }
            Self::NeverEndingRecursion => "never ending recursion",
            Self::TooManyGroups => "too many capture groups are specified",
            Self::TooLong => "regex length too long",
            Self::TooDeep => "groups are nested too deeply",
            Self::TooLarge => "regex is too large once its repeats are expanded",
        };
        f.write_str(text)
    }
}

/// Why a match could not be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MatchError {
    /// The matcher made more steps, or remembered more alternatives, than it may.
    #[error("the pattern needs too many steps on this text")]
    Budget,
    /// The time limit of the [`Scratch`](super::Scratch) passed.
    #[error("the time limit for matching passed")]
    Timeout,
    /// The text has 4 GiB or more.
    #[error("the text is too long to be matched")]
    TooLong,
    /// A replacement says `\k<name>` where no group has the name.
    #[error("the replacement names a group that the pattern has not")]
    UnknownGroup,
}
