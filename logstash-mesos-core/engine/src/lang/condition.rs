//! The conditions of `if`, as they are written.

use super::ast::{BooleanOperator, Chain, CompareOperator, Expression, ExpressionKind, Operand, OperandKind};
use super::diagnostic::Code;
use super::parser::{Parsed, Parser};
use super::token::{Span, Token};

/// Conditions are nested when compiled, and asking them has to end before the stack does.
const MAX_CHAIN: usize = 1000;

impl Parser<'_> {
    /// Expressions joined by boolean operators.
    pub(super) fn chain(&mut self) -> Parsed<Chain> {
        let start = self.lexer.at();
        self.deeper(start)?;
        let first = self.expression()?;
        let mut rest = Vec::new();
        let mut end = first.span.end;
        loop {
            self.lexer.space();
            let Some(operator) = self.lexer.operator(&["and", "or", "xor", "nand"]) else { break };
            let operator = match operator.text {
                "and" => BooleanOperator::And,
                "or" => BooleanOperator::Or,
                "xor" => BooleanOperator::Xor,
                _ => BooleanOperator::Nand,
            };
            self.lexer.space();
            let next = self.expression()?;
            end = next.span.end;
            rest.push((operator, next));
            if rest.len() > MAX_CHAIN {
                return self.fail(
                    Code::DEPTH,
                    Span::new(start, end),
                    format!("more than {MAX_CHAIN} conditions are joined in one"),
                    "use `in` with a list, or a `translate` with a dictionary".to_owned(),
                );
            }
        }
        self.lexer.go_to(end);
        self.shallower();
        Ok(Chain { first, rest, span: Span::new(start, end) })
    }

    fn expression(&mut self) -> Parsed<Expression> {
        let start = self.lexer.at();
        let kind = if self.lexer.take("(") {
            ExpressionKind::Group(Box::new(self.group()?))
        } else if self.lexer.peek() == Some(b'!') && !self.lexer.rest().starts_with("!~") {
            self.lexer.take("!");
            self.lexer.space();
            if self.lexer.take("(") {
                ExpressionKind::Not(Box::new(self.group()?))
            } else if let Some(field) = self.lexer.selector() {
                ExpressionKind::NotField(selector(&field))
            } else {
                let (span, found) = (self.here(), self.found());
                return self.fail(
                    Code::SYNTAX,
                    span,
                    format!("expected `(` or a field after `!`, found {found}"),
                    "write `![field]` or `!( … )`".to_owned(),
                );
            }
        } else {
            self.comparison()?
        };
        Ok(Expression { kind, span: Span::new(start, self.lexer.at()) })
    }

    fn group(&mut self) -> Parsed<Chain> {
        self.lexer.space();
        let chain = self.chain()?;
        self.lexer.space();
        if self.lexer.take(")") {
            return Ok(chain);
        }
        let (span, found) = (self.here(), self.found());
        self.fail(
            Code::SYNTAX,
            span,
            format!("expected `)` or an operator, found {found}"),
            "close the parenthesis".to_owned(),
        )
    }

    fn comparison(&mut self) -> Parsed<ExpressionKind> {
        let left = self.operand()?;
        let end = self.lexer.at();
        self.lexer.space();
        if self.lexer.take("in") {
            self.lexer.space();
            return Ok(ExpressionKind::In(left, self.operand()?));
        }
        let at = self.lexer.at();
        // Exactly one space is asked for behind `not`; more may follow.
        if self.lexer.take("not ") {
            self.lexer.space();
            if self.lexer.take("in") {
                self.lexer.space();
                return Ok(ExpressionKind::NotIn(left, self.operand()?));
            }
            self.lexer.go_to(at);
        }
        if let Some(operator) = self.lexer.operator(&["=~", "!~"]) {
            let negated = operator.text == "!~";
            self.lexer.space();
            let at = self.lexer.at();
            let (pattern, quoted) = match self.string()? {
                Some(text) => (Some(text), true),
                None => (self.regexp()?, false),
            };
            let Some(pattern) = pattern else {
                let (span, found) = (self.here(), self.found());
                return self.fail(
                    Code::SYNTAX,
                    span,
                    format!("expected a regular expression, found {found}"),
                    "write it as `/…/` or as a string; it cannot come from a field".to_owned(),
                );
            };
            return Ok(ExpressionKind::Match {
                subject: left,
                negated,
                pattern: pattern.text.to_owned(),
                quoted,
                pattern_span: Span::new(at, self.lexer.at()),
            });
        }
        if let Some(operator) = self.lexer.operator(&["==", "!=", "<=", ">=", "<", ">"]) {
            let operator = match operator.text {
                "==" => CompareOperator::Equal,
                "!=" => CompareOperator::NotEqual,
                "<=" => CompareOperator::LessOrEqual,
                ">=" => CompareOperator::GreaterOrEqual,
                "<" => CompareOperator::Less,
                _ => CompareOperator::Greater,
            };
            self.lexer.space();
            return Ok(ExpressionKind::Compare(left, operator, self.operand()?));
        }
        self.lexer.go_to(end);
        Ok(ExpressionKind::Operand(left))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let start = self.lexer.at();
        let kind = if let Some(text) = self.string()? {
            OperandKind::String(text.text.to_owned())
        } else if let Some(number) = self.lexer.number() {
            OperandKind::Number(self.number_of(&number)?)
        } else if let Some(field) = self.lexer.selector() {
            return Ok(selector(&field));
        } else if self.lexer.take("[") {
            OperandKind::Array(self.array_items(start)?)
        } else if let Some(name) = self.lexer.bareword() {
            self.lexer.space();
            if !self.lexer.take("(") {
                self.lexer.go_to(start);
                return self.no_operand();
            }
            OperandKind::Call(name.text.to_owned(), self.arguments(start)?)
        } else if let Some(pattern) = self.regexp()? {
            OperandKind::Regexp(pattern.text.to_owned())
        } else {
            return self.no_operand();
        };
        Ok(Operand { kind, span: Span::new(start, self.lexer.at()) })
    }

    fn arguments(&mut self, opened: usize) -> Parsed<Vec<Operand>> {
        self.deeper(opened)?;
        let mut arguments = Vec::new();
        self.lexer.space();
        while !self.lexer.take(")") {
            if !arguments.is_empty() && !self.lexer.take(",") {
                let (span, found) = (self.here(), self.found());
                return self.fail(Code::SYNTAX, span, format!("expected `,` or `)`, found {found}"), None);
            }
            self.lexer.space();
            arguments.push(self.operand()?);
            self.lexer.space();
        }
        self.shallower();
        Ok(arguments)
    }

    fn no_operand<T>(&mut self) -> Parsed<T> {
        let found = self.found();
        let mut ahead = self.lexer.clone();
        let (span, remedy) = match ahead.name() {
            Some(word) if word.text.eq_ignore_ascii_case("not") => {
                (word.span, "write `![field]` or `!( … )`".to_owned())
            }
            Some(word) => (word.span, format!("a field is written `[{0}]`, a text `\"{0}\"`", word.text)),
            None if self.lexer.peek() == Some(b'{') => (
                self.here(),
                "something is missing in front of `{`: a condition, or the other side of its operator; the last branch \
                 is written `else { … }`"
                    .to_owned(),
            ),
            None => (
                self.here(),
                "a condition compares fields `[a][b]`, strings, numbers and lists of them".to_owned(),
            ),
        };
        self.fail(Code::SYNTAX, span, format!("expected a field or a value, found {found}"), remedy)
    }
}

fn selector(token: &Token<'_>) -> Operand {
    Operand { kind: OperandKind::Selector(token.text.to_owned()), span: token.span }
}
