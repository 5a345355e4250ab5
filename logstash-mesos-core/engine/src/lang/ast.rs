//! The syntax tree: a configuration as it was written, every node with its place.

use super::kind::PluginKind;
use super::token::Span;

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Its sections, in order; a kind may come several times.
    pub sections: Vec<Section>,
}

/// `input { … }`, `filter { … }` or `output { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Which of the three.
    pub kind: SectionKind,
    /// What stands in it.
    pub body: Vec<Statement>,
    /// All of it.
    pub span: Span,
}

/// The three kinds of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Where events come from.
    Input,
    /// What is done to them.
    Filter,
    /// Where they go.
    Output,
}

impl SectionKind {
    /// The plugins that stand in it.
    #[must_use]
    pub fn plugins(self) -> PluginKind {
        match self {
            Self::Input => PluginKind::Input,
            Self::Filter => PluginKind::Filter,
            Self::Output => PluginKind::Output,
        }
    }

    /// The word in a configuration: that of its plugins.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.plugins().word()
    }
}

/// One line of work in a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// A plugin with its settings: `mutate { … }`.
    Plugin(Plugin),
    /// `if … else if … else …`.
    Branch(Branch),
}

/// A plugin with its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Its name as written, quotes included.
    pub name: String,
    /// Where the name is.
    pub name_span: Span,
    /// Its settings, in order; a name may come several times.
    pub attributes: Vec<Attribute>,
    /// All of it.
    pub span: Span,
}

/// `name => value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The name, without quotes.
    pub name: String,
    /// Where the name is.
    pub name_span: Span,
    /// What the setting is set to.
    pub value: Value,
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// What it is.
    pub kind: ValueKind,
    /// Where it is.
    pub span: Span,
}

/// A value as it is written: nothing is substituted in it yet.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// A word without quotes.
    Bareword(String),
    /// A string as it stands between its quotes.
    String(String),
    /// A number, which is compared as a number.
    Number(Number),
    /// `[ … ]`.
    Array(Vec<Value>),
    /// `{ key => value … }`.
    Hash(Vec<(Value, Value)>),
    /// A plugin, as codecs are.
    Plugin(Plugin),
}

/// A number as Ruby reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Without a point.
    Int(i64),
    /// It is written with a decimal point.
    Float(f64),
}

/// `if … else if … else …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The conditions in order, each with its body.
    pub arms: Vec<Arm>,
    /// The body of `else`.
    pub otherwise: Vec<Statement>,
    /// All of it.
    pub span: Span,
}

/// A condition and what is done where it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// What must hold for the body to be run.
    pub condition: Chain,
    /// What is run then, in order.
    pub body: Vec<Statement>,
}

/// Expressions joined by `and`, `or`, `xor`, `nand`, as written; who binds tighter is decided later.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The first expression.
    pub first: Expression,
    /// The others, each with the operator before it.
    pub rest: Vec<(BooleanOperator, Expression)>,
    /// All of it.
    pub span: Span,
}

/// What joins expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BooleanOperator {
    /// `and`: both sides hold.
    And,
    /// One at least.
    Or,
    /// `xor`: exactly one side holds.
    Xor,
    /// `nand`: at least one side does not hold.
    Nand,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// What it is.
    pub kind: ExpressionKind,
    /// Where it is.
    pub span: Span,
}

/// The kinds of parts.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    /// `( … )`.
    Group(Box<Chain>),
    /// `!( … )`.
    Not(Box<Chain>),
    /// `![a]`.
    NotField(Operand),
    /// `a in b`.
    In(Operand, Operand),
    /// `a not in b`.
    NotIn(Operand, Operand),
    /// `a == b` and its siblings.
    Compare(Operand, CompareOperator, Operand),
    /// `a =~ b`, or `a !~ b` when the flag is set.
    Match {
        /// What is searched.
        subject: Operand,
        /// Whether it must not match.
        negated: bool,
        /// The pattern, as written between its delimiters.
        pattern: String,
        /// Whether the pattern was written as a string.
        quoted: bool,
        /// Where the pattern is.
        pattern_span: Span,
    },
    /// A value alone.
    Operand(Operand),
}

/// What compares values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOperator {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<=`.
    LessOrEqual,
    /// `>=`.
    GreaterOrEqual,
    /// `<`.
    Less,
    /// `>`.
    Greater,
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// What it is.
    pub kind: OperandKind,
    /// Where it is.
    pub span: Span,
}

/// The kinds of values in conditions.
#[derive(Clone, Debug, PartialEq)]
pub enum OperandKind {
    /// A string as it stands between its quotes.
    String(String),
    /// A number, which is compared as a number.
    Number(Number),
    /// A field reference.
    Selector(String),
    /// `[ … ]`: a list of values.
    Array(Vec<Value>),
    /// `name(…)`, which the grammar knows and Logstash never implemented.
    Call(String, Vec<Operand>),
    /// `/…/`.
    Regexp(String),
}
