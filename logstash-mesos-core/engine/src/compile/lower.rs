//! From conditions as written to conditions that can be asked.
//!
//! Follows Logstash's compiler step by step, because what it accepts, and how it groups `and` and `or`,
//! is full of accidents that configurations in use depend on.

use logstash_mesos_regex::Regex;

use super::check::Checker;
use super::variables::placeholders;
use crate::event::{self, FieldReference, Text};
use crate::lang::ast::{
    BooleanOperator, Chain, CompareOperator, Expression, ExpressionKind, Number, Operand, OperandKind, Value,
    ValueKind,
};
use crate::lang::{Code, Diagnostic, Span};
use crate::run::condition::{Condition, Order, found};

/// Compiles conditions and complains through the checker.
pub(crate) struct Lower<'c, 'o> {
    pub(crate) checker: &'c mut Checker<'o>,
    /// Fields that conditions around this one have found to be there.
    pub(crate) guards: &'c mut Vec<String>,
}

/// A part of a condition while it is put together.
enum Part {
    Condition(Condition),
    Field(FieldReference),
    Constant(Constant),
}

/// A value that stands in the configuration.
#[derive(Clone, Debug, PartialEq)]
enum Constant {
    Text(String),
    Int(i64),
    Float(f64),
    List(Vec<Constant>),
    /// A hash in a list, which nothing is ever equal to.
    Other,
}

/// The complaint has been made.
struct Refused;

type Lowered<T> = Result<T, Refused>;

impl Lower<'_, '_> {
    /// The condition, or `None` after a complaint.
    ///
    /// Fields it asks for are added to the guards, for the conditions in its body.
    pub(crate) fn condition(&mut self, chain: &Chain) -> Option<Condition> {
        let part = self.chain(chain).ok()?;
        Some(match part {
            Part::Condition(condition) => condition,
            Part::Field(field) => Condition::Truthy(field),
            Part::Constant(constant) => Condition::Constant(constant.is_truthy()),
        })
    }

    fn chain(&mut self, chain: &Chain) -> Lowered<Part> {
        self.guard(chain);
        let first = self.expression(&chain.first)?;
        if chain.rest.is_empty() {
            return Ok(match (first, &chain.first.kind) {
                (Part::Field(field), ExpressionKind::Operand(_)) => Part::Condition(Condition::Truthy(field)),
                (other, _) => other,
            });
        }
        // Logstash's shunting yard: an operator pushes out the one before it, and only that one, when that
        // binds tighter. So `a and b and c or d` is `a and ((b and c) or d)`.
        enum Item {
            Part(Part),
            Operator(BooleanOperator),
        }
        let mut out = vec![Item::Part(first)];
        let mut operators: Vec<BooleanOperator> = Vec::new();
        let mut surprising = false;
        for (operator, expression) in &chain.rest {
            let part = self.expression(expression)?;
            if let Some(&before) = operators.last() {
                if matches!(before, BooleanOperator::Xor | BooleanOperator::Nand)
                    || matches!(operator, BooleanOperator::Xor | BooleanOperator::Nand)
                {
                    return self.refuse(
                        Code::EXPRESSION,
                        chain.span,
                        "`xor` and `nand` cannot be joined with other operators",
                        "put parentheses around each pair: `([a] xor [b]) and [c]`".to_owned(),
                    );
                }
                if before == BooleanOperator::And && *operator == BooleanOperator::Or {
                    operators.pop();
                    out.push(Item::Operator(before));
                    surprising |= operators.last() == Some(&BooleanOperator::And);
                }
            }
            operators.push(*operator);
            out.push(Item::Part(part));
        }
        out.extend(operators.into_iter().rev().map(Item::Operator));
        if surprising {
            self.checker.complaints.push(
                Diagnostic::warning(
                    Code::SURPRISE,
                    chain.span,
                    "Logstash reads `a and b and c or d` as `a and ((b and c) or d)`",
                )
                .remedy("put parentheses around what belongs together".to_owned()),
            );
        }
        let mut stack: Vec<Part> = Vec::new();
        for item in out {
            match item {
                Item::Part(part) => stack.push(part),
                Item::Operator(operator) => {
                    if let (Some(right), Some(left)) = (stack.pop(), stack.pop()) {
                        stack.push(Part::Condition(self.join(operator, left, right, chain.span)?));
                    }
                }
            }
        }
        stack.pop().ok_or(Refused)
    }

    fn join(&mut self, operator: BooleanOperator, left: Part, right: Part, span: Span) -> Lowered<Condition> {
        let left = self.side(left, span)?;
        let right = self.side(right, span)?;
        let both = |left, right| Condition::And(Box::new(left), Box::new(right));
        let not = |condition| Condition::Not(Box::new(condition));
        Ok(match operator {
            BooleanOperator::And => both(left, right),
            BooleanOperator::Or => Condition::Or(Box::new(left), Box::new(right)),
            BooleanOperator::Nand => not(both(left, right)),
            BooleanOperator::Xor => Condition::Or(
                Box::new(both(not(left.clone()), right.clone())),
                Box::new(both(left, not(right))),
            ),
        })
    }

    fn side(&mut self, part: Part, span: Span) -> Lowered<Condition> {
        match part {
            Part::Condition(condition) => Ok(condition),
            Part::Field(field) => Ok(Condition::Truthy(field)),
            Part::Constant(_) => self.refuse(
                Code::EXPRESSION,
                span,
                "`and`, `or`, `xor` and `nand` join conditions and fields, not constants",
                "compare the constant with something, or leave it out".to_owned(),
            ),
        }
    }

    fn guard(&mut self, chain: &Chain) {
        let all_and = chain.rest.iter().all(|(operator, _)| *operator == BooleanOperator::And);
        if !all_and {
            return;
        }
        for expression in std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, next)| next)) {
            match &expression.kind {
                ExpressionKind::Operand(Operand { kind: OperandKind::Selector(text), .. }) => {
                    self.guards.extend(
                        FieldReference::parse_with(text, self.checker.options.escape_style)
                            .map(|field| field.to_string()),
                    );
                }
                ExpressionKind::Group(chain) => self.guard(chain),
                _ => {}
            }
        }
    }

    fn expression(&mut self, expression: &Expression) -> Lowered<Part> {
        let span = expression.span;
        match &expression.kind {
            ExpressionKind::Group(chain) => self.chain(chain),
            ExpressionKind::Not(chain) => match self.chain(chain)? {
                Part::Condition(condition) => Ok(Part::Condition(Condition::Not(Box::new(condition)))),
                Part::Field(field) => Ok(Part::Condition(Condition::Not(Box::new(Condition::Truthy(field))))),
                Part::Constant(_) => self.refuse(
                    Code::EXPRESSION,
                    span,
                    "`!` does not take a constant",
                    "write the condition the other way round".to_owned(),
                ),
            },
            ExpressionKind::NotField(operand) => {
                let field = self.field(operand)?;
                Ok(Part::Condition(Condition::Not(Box::new(Condition::Truthy(field)))))
            }
            ExpressionKind::In(left, right) => self.within(left, right, span, false).map(Part::Condition),
            ExpressionKind::NotIn(left, right) => self.within(left, right, span, true).map(Part::Condition),
            ExpressionKind::Compare(left, operator, right) => {
                self.compare(left, *operator, right, span).map(Part::Condition)
            }
            ExpressionKind::Match { subject, negated, pattern, quoted, pattern_span } => {
                let condition = self.matches(subject, pattern, *quoted, *pattern_span)?;
                let condition = if *negated { Condition::Not(Box::new(condition)) } else { condition };
                Ok(Part::Condition(condition))
            }
            ExpressionKind::Operand(operand) => match self.operand(operand)? {
                Some(part) => Ok(part),
                None => self.refuse(
                    Code::EXPRESSION,
                    span,
                    "this is not a condition",
                    "a regular expression needs a field: `[message] =~ /…/`; functions do not exist"
                        .to_owned(),
                ),
            },
        }
    }

    fn field(&mut self, operand: &Operand) -> Lowered<FieldReference> {
        let OperandKind::Selector(text) = &operand.kind else { return Err(Refused) };
        match FieldReference::parse_with(text, self.checker.options.escape_style) {
            Ok(field) => Ok(field),
            Err(error) => self.refuse(
                Code::FIELD_REFERENCE,
                operand.span,
                error.to_string(),
                "write `[name][name]`".to_owned(),
            ),
        }
    }

    /// A field or a constant; nothing for regular expressions and calls.
    fn operand(&mut self, operand: &Operand) -> Lowered<Option<Part>> {
        Ok(Some(match &operand.kind {
            OperandKind::Selector(_) => Part::Field(self.field(operand)?),
            OperandKind::String(text) => Part::Constant(self.text(text, operand.span)?),
            OperandKind::Number(Number::Int(number)) => Part::Constant(Constant::Int(*number)),
            OperandKind::Number(Number::Float(number)) => Part::Constant(Constant::Float(*number)),
            OperandKind::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(self.constant(item)?);
                }
                Part::Constant(Constant::List(list))
            }
            OperandKind::Call(..) | OperandKind::Regexp(_) => return Ok(None),
        }))
    }

    fn constant(&mut self, value: &Value) -> Lowered<Constant> {
        Ok(match &value.kind {
            ValueKind::Bareword(word) => Constant::Text(word.clone()),
            ValueKind::String(text) => self.text(text, value.span)?,
            ValueKind::Number(Number::Int(number)) => Constant::Int(*number),
            ValueKind::Number(Number::Float(number)) => Constant::Float(*number),
            ValueKind::Array(items) => {
                Constant::List(items.iter().map(|item| self.constant(item)).collect::<Lowered<_>>()?)
            }
            ValueKind::Hash(_) | ValueKind::Plugin(_) => Constant::Other,
        })
    }

    /// A string of the configuration; a variable is filled in when it is all there is.
    fn text(&mut self, text: &str, span: Span) -> Lowered<Constant> {
        let text = self.checker.options.unescape(text);
        let Some(whole) = placeholders(&text).find(|found| found.range == (0..text.len())) else {
            return Ok(Constant::Text(text));
        };
        match self.checker.options.variables.get(whole.name).or_else(|| whole.default.map(str::to_owned)) {
            Some(value) => Ok(Constant::Text(value)),
            None => {
                let name = whole.name.to_owned();
                self.checker.undefined(&name, span);
                Ok(Constant::Text(text))
            }
        }
    }

    fn compare(
        &mut self,
        left: &Operand,
        operator: CompareOperator,
        right: &Operand,
        span: Span,
    ) -> Lowered<Condition> {
        // Logstash picks the simple values out of both sides and takes the first of the right one: a list
        // on the right is its first item, and on the left it must have just one.
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        self.leaves(left, &mut lefts)?;
        self.leaves(right, &mut rights)?;
        if lefts.len() != 1 || rights.is_empty() {
            return self.refuse(
                Code::EXPRESSION,
                span,
                "Logstash compares fields, strings and numbers, and nothing else",
                "use `in` for lists, `=~` for regular expressions".to_owned(),
            );
        }
        if let OperandKind::Array(items) = &right.kind {
            let message = if items.len() > 1 {
                "Logstash compares with the first item of the list only"
            } else {
                "Logstash compares with the item of the list, not with the list"
            };
            self.warn(right.span, message, "use `in`, or compare with the item itself");
        }
        self.one_element(left);
        self.one_element(right);
        let (Some(left), Some(right)) = (lefts.pop(), rights.into_iter().next()) else { return Err(Refused) };
        let order = match operator {
            CompareOperator::Equal => return Ok(equal(left, right)),
            CompareOperator::NotEqual => return Ok(Condition::Not(Box::new(equal(left, right)))),
            CompareOperator::Less => Order::Less,
            CompareOperator::LessOrEqual => Order::LessOrEqual,
            CompareOperator::Greater => Order::Greater,
            CompareOperator::GreaterOrEqual => Order::GreaterOrEqual,
        };
        let guarded = [&left, &right].iter().all(|side| match side {
            Part::Field(field) => self.guards.contains(&field.to_string()),
            _ => true,
        });
        if !guarded {
            self.warn(
                span,
                "an event whose field is missing, or is not of the type of the other side, is dropped here",
                "ask for the field first (`if [field] { … }`) and convert it with `mutate`",
            );
        }
        Ok(match (left, right) {
            (Part::Field(left), Part::Field(right)) => Condition::OrderOfFields(left, order, right),
            (Part::Field(field), Part::Constant(constant)) => {
                Condition::Order(field, order, constant.value())
            }
            (Part::Constant(constant), Part::Field(field)) => {
                Condition::Order(field, order.converse(), constant.value())
            }
            (Part::Constant(left), Part::Constant(right)) => match left.java_order(&right) {
                Some(found) => Condition::Constant(order.admits(found)),
                None => {
                    return self.refuse(
                        Code::EXPRESSION,
                        span,
                        "constants of different types have no order",
                        "compare a field with a constant of its type".to_owned(),
                    );
                }
            },
            _ => return Err(Refused),
        })
    }

    /// The simple values of a side, in order.
    fn leaves(&mut self, operand: &Operand, out: &mut Vec<Part>) -> Lowered<()> {
        match &operand.kind {
            OperandKind::Array(items) => {
                for item in items {
                    self.value_leaves(item, out)?;
                }
            }
            OperandKind::Call(_, arguments) => {
                for argument in arguments {
                    self.leaves(argument, out)?;
                }
            }
            OperandKind::Regexp(_) => {}
            _ => out.extend(self.operand(operand)?),
        }
        Ok(())
    }

    fn value_leaves(&mut self, value: &Value, out: &mut Vec<Part>) -> Lowered<()> {
        match &value.kind {
            ValueKind::String(_) | ValueKind::Number(_) => out.push(Part::Constant(self.constant(value)?)),
            ValueKind::Array(items) => {
                for item in items {
                    self.value_leaves(item, out)?;
                }
            }
            ValueKind::Hash(entries) => {
                for (key, item) in entries {
                    self.value_leaves(key, out)?;
                    self.value_leaves(item, out)?;
                }
            }
            ValueKind::Bareword(_) | ValueKind::Plugin(_) => {}
        }
        Ok(())
    }

    fn matches(&mut self, subject: &Operand, pattern: &str, quoted: bool, span: Span) -> Lowered<Condition> {
        let mut subjects = Vec::new();
        // Numbers are not picked out here, unlike in comparisons.
        if !matches!(subject.kind, OperandKind::Number(_)) {
            self.leaves(subject, &mut subjects)?;
        }
        let (1, Some(subject)) = (subjects.len(), subjects.pop()) else {
            return self.refuse(
                Code::EXPRESSION,
                subject.span,
                "only a field or a string can be matched",
                "write `[field] =~ /…/`".to_owned(),
            );
        };
        let text = if quoted { self.checker.options.unescape(pattern) } else { pattern.to_owned() };
        let pattern = match Regex::new(&text) {
            Ok(pattern) => pattern,
            Err(error) => {
                return self.refuse(
                    Code::PATTERN,
                    span,
                    format!("the regular expression does not compile: {error}"),
                    "regular expressions are Ruby's".to_owned(),
                );
            }
        };
        match subject {
            Part::Field(field) => Ok(Condition::Matches(field, pattern)),
            Part::Constant(Constant::Text(text)) => Ok(Condition::Constant(found(&pattern, &text))),
            _ => Ok(Condition::Constant(false)),
        }
    }

    fn within(&mut self, left: &Operand, right: &Operand, span: Span, negated: bool) -> Lowered<Condition> {
        self.one_element(left);
        self.one_element(right);
        let sides = (self.operand(left)?, self.operand(right)?);
        let condition = match sides {
            (Some(Part::Field(field)), Some(Part::Constant(constant))) => match constant {
                Constant::List(items) => {
                    Condition::OneOf(field, items.iter().map(Constant::java_text).collect())
                }
                scalar => Condition::WithinText(field, scalar.java_text()),
            },
            (Some(Part::Constant(Constant::Text(text))), Some(Part::Field(field))) => {
                Condition::TextWithin(Text::from(text), field)
            }
            (
                Some(Part::Constant(constant @ (Constant::Int(_) | Constant::Float(_)))),
                Some(Part::Field(field)),
            ) => Condition::ItemOf(constant.value(), field),
            (Some(Part::Field(left)), Some(Part::Field(right))) => Condition::FieldWithin(left, right),
            (Some(Part::Constant(left)), Some(Part::Constant(right))) => {
                self.warn(
                    span,
                    "`in` with constants on both sides never looks inside: it only holds when both are the same",
                    "put a field on one side",
                );
                Condition::Constant(left == right)
            }
            _ => {
                return self.refuse(
                    Code::EXPRESSION,
                    span,
                    "Logstash has no `in` for these two",
                    "write `[field] in [\"a\", \"b\"]`, `\"a\" in [field]` or `[field] in [field]`"
                        .to_owned(),
                );
            }
        };
        Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    /// `["abc"]` is the field named `"abc"`, quotes and all.
    fn one_element(&mut self, operand: &Operand) {
        if let OperandKind::Selector(text) = &operand.kind
            && text.contains(['"', '\''])
        {
            self.warn(
                operand.span,
                "a list of one item is read as a field reference here",
                "write a list of two items (the second may repeat the first), or compare with `==`",
            );
        }
    }

    fn warn(&mut self, span: Span, message: &str, remedy: &str) {
        self.checker
            .complaints
            .push(Diagnostic::warning(Code::SURPRISE, span, message).remedy(remedy.to_owned()));
    }

    fn refuse<T>(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        remedy: String,
    ) -> Lowered<T> {
        self.checker.complaints.push(Diagnostic::error(code, span, message).remedy(remedy));
        Err(Refused)
    }
}

fn equal(left: Part, right: Part) -> Condition {
    match (left, right) {
        (Part::Field(left), Part::Field(right)) => Condition::SameField(left, right),
        (Part::Field(field), Part::Constant(constant)) | (Part::Constant(constant), Part::Field(field)) => {
            Condition::Equals(field, constant.value())
        }
        (Part::Constant(left), Part::Constant(right)) => Condition::Constant(left == right),
        _ => Condition::Constant(false),
    }
}

impl Constant {
    fn is_truthy(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty() && text != "false",
            _ => true,
        }
    }

    fn value(&self) -> event::Value {
        match self {
            Self::Text(text) => event::Value::Text(Text::from(text.as_str())),
            Self::Int(number) => event::Value::Int(*number),
            Self::Float(number) => event::Value::Float(*number),
            Self::List(items) => event::Value::List(items.iter().map(Self::value).collect()),
            Self::Other => event::Value::Null,
        }
    }

    fn java_text(&self) -> Text {
        match self {
            Self::Text(text) => Text::from(text.as_str()),
            Self::Int(number) => Text::from(number.to_string()),
            Self::Float(number) => Text::from(format!("{number:?}")),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.java_text().to_string()).collect();
                Text::from(format!("[{}]", items.join(", ")))
            }
            Self::Other => Text::from_static("{}"),
        }
    }

    /// The order of two constants of the same type.
    fn java_order(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => Some(left.encode_utf16().cmp(right.encode_utf16())),
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            _ => None,
        }
    }
}
