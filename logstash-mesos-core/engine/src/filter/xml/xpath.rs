//! `XPath` 1.0 expressions, parsed.

/// An XPath expression, as a tree.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Binary(Op, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Literal(String),
    Number(f64),
    Call(String, Vec<Expr>),
    /// Steps from the document, from the context, or from what an expression gives.
    Path {
        start: Start,
        steps: Vec<Step>,
    },
}

/// Where a path starts.
#[derive(Clone, Debug)]
pub(super) enum Start {
    Document,
    Context,
    Expr(Box<Expr>, Vec<Expr>),
}

/// A step of a path.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) axis: Axis,
    pub(super) test: Test,
    pub(super) predicates: Vec<Expr>,
}

/// The directions of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Child,
    Descendant,
    DescendantOrSelf,
    SelfNode,
    Parent,
    Ancestor,
    AncestorOrSelf,
    FollowingSibling,
    PrecedingSibling,
    Following,
    Preceding,
    Attribute,
}

/// Which nodes of an axis a step takes.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Node,
    Text,
    Comment,
    Instruction,
    /// Any element or attribute, maybe of one namespace.
    Any(Option<String>),
    Name(Option<String>, String),
}

/// Operators with two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Union,
}

/// Parses an expression; the prefixes it uses are looked up later.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = parser.binary(0)?;
    if parser.at < parser.tokens.len() {
        return Err(format!("unexpected `{}`", parser.tokens[parser.at]));
    }
    Ok(expr)
}

const MAX_DEPTH: usize = 100;

struct Parser {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
}

/// The operators by how loosely they bind.
const LEVELS: [&[(&str, Op)]; 7] = [
    &[("or", Op::Or)],
    &[("and", Op::And)],
    &[("=", Op::Equal), ("!=", Op::NotEqual)],
    &[("<", Op::Less), ("<=", Op::LessEqual), (">", Op::Greater), (">=", Op::GreaterEqual)],
    &[("+", Op::Add), ("-", Op::Subtract)],
    &[("*", Op::Multiply), ("div", Op::Divide), ("mod", Op::Modulo)],
    &[("|", Op::Union)],
];

impl Parser {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn after(&self) -> &str {
        self.tokens.get(self.at + 1).map_or("", String::as_str)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected `{token}`, found `{}`", self.peek())) }
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(level) else { return self.path() };
        if level == 6 && self.peek() == "-" {
            self.at += 1;
            self.enter()?;
            let inner = self.binary(6)?;
            self.depth -= 1;
            return Ok(Expr::Negative(Box::new(inner)));
        }
        self.enter()?;
        let mut left = self.binary(level + 1)?;
        while let Some((_, op)) = operators.iter().find(|(name, _)| *name == self.peek()) {
            self.at += 1;
            left = Expr::Binary(*op, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH * LEVELS.len() { Err("nested too deeply".to_owned()) } else { Ok(()) }
    }

    fn path(&mut self) -> Result<Expr, String> {
        let token = self.peek().to_owned();
        let first = token.chars().next();
        let primary = match first {
            Some('"' | '\'') => {
                self.at += 1;
                Some(Expr::Literal(token[1..token.len() - 1].to_owned()))
            }
            Some(digit) if digit.is_ascii_digit() || (digit == '.' && token.len() > 1 && token != "..") => {
                self.at += 1;
                Some(Expr::Number(token.parse().map_err(|_| format!("`{token}` is no number"))?))
            }
            Some('(') => {
                self.at += 1;
                let inner = self.binary(0)?;
                self.expect(")")?;
                Some(inner)
            }
            Some(_)
                if self.after() == "("
                    && !["node", "text", "comment", "processing-instruction"].contains(&token.as_str()) =>
            {
                self.at += 2;
                let mut arguments = Vec::new();
                while !self.eat(")") {
                    if !arguments.is_empty() {
                        self.expect(",")?;
                    }
                    arguments.push(self.binary(0)?);
                }
                Some(Expr::Call(token, arguments))
            }
            _ => None,
        };
        let mut steps = Vec::new();
        let start = match primary {
            Some(primary) => {
                let predicates = self.predicates()?;
                if predicates.is_empty() && !self.peek().starts_with('/') {
                    return Ok(primary);
                }
                Start::Expr(Box::new(primary), predicates)
            }
            None if self.peek().starts_with('/') => Start::Document,
            None => {
                steps.push(self.step()?);
                Start::Context
            }
        };
        loop {
            if self.eat("//") {
                steps.push(Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() });
                steps.push(self.step()?);
            } else if self.eat("/") {
                // The document alone.
                let ends = matches!(
                    self.peek(),
                    "" | ")" | "]" | "," | "|" | "=" | "!=" | "<" | ">" | "+" | "-" | "and" | "or"
                );
                if ends && steps.is_empty() && matches!(start, Start::Document) {
                    break;
                }
                steps.push(self.step()?);
            } else {
                break;
            }
        }
        Ok(Expr::Path { start, steps })
    }

    fn predicates(&mut self) -> Result<Vec<Expr>, String> {
        let mut predicates = Vec::new();
        while self.eat("[") {
            predicates.push(self.binary(0)?);
            self.expect("]")?;
        }
        Ok(predicates)
    }

    fn step(&mut self) -> Result<Step, String> {
        if self.eat(".") {
            return Ok(Step { axis: Axis::SelfNode, test: Test::Node, predicates: Vec::new() });
        }
        if self.eat("..") {
            return Ok(Step { axis: Axis::Parent, test: Test::Node, predicates: Vec::new() });
        }
        let mut axis = Axis::Child;
        if self.eat("@") {
            axis = Axis::Attribute;
        } else if self.after() == "::" {
            axis = match self.peek() {
                "child" => Axis::Child,
                "descendant" => Axis::Descendant,
                "descendant-or-self" => Axis::DescendantOrSelf,
                "self" => Axis::SelfNode,
                "parent" => Axis::Parent,
                "ancestor" => Axis::Ancestor,
                "ancestor-or-self" => Axis::AncestorOrSelf,
                "following-sibling" => Axis::FollowingSibling,
                "preceding-sibling" => Axis::PrecedingSibling,
                "following" => Axis::Following,
                "preceding" => Axis::Preceding,
                "attribute" => Axis::Attribute,
                other => return Err(format!("there is no axis `{other}`")),
            };
            self.at += 2;
        }
        let name = self.peek().to_owned();
        self.at += 1;
        let test = if self.eat("(") {
            if self.peek().starts_with(['"', '\'']) {
                self.at += 1;
            }
            self.expect(")")?;
            match name.as_str() {
                "node" => Test::Node,
                "text" => Test::Text,
                "comment" => Test::Comment,
                "processing-instruction" => Test::Instruction,
                other => return Err(format!("there is no node test `{other}`")),
            }
        } else if name == "*" {
            Test::Any(None)
        } else {
            let fine = |name: &str| name.starts_with(|char: char| char.is_alphabetic() || char == '_');
            match name.split_once(':') {
                Some((prefix, "*")) if fine(prefix) => Test::Any(Some(prefix.to_owned())),
                Some((prefix, local)) if fine(prefix) && fine(local) => {
                    Test::Name(Some(prefix.to_owned()), local.to_owned())
                }
                None if fine(&name) => Test::Name(None, name),
                _ => return Err(format!("expected a step, found `{name}`")),
            }
        };
        Ok(Step { axis, test, predicates: self.predicates()? })
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if let Some(double) =
            ["//", "..", "::", "!=", "<=", ">="].iter().find(|double| rest.starts_with(**double))
        {
            double.len()
        } else if matches!(first, '"' | '\'') {
            rest[1..].find(first).map(|len| len + 2).ok_or("a string does not end")?
        } else if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|char: char| char.is_ascii_digit()))
        {
            rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len())
        } else if first.is_alphabetic() || first == '_' {
            let is_name = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.');
            let mut len = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
            // A prefix, but not the first half of an axis.
            if let Some(local) = rest[len..].strip_prefix(':')
                && !local.starts_with(':')
            {
                len += 1 + if local.starts_with('*') {
                    1
                } else {
                    local.find(|char| !is_name(char)).unwrap_or(local.len())
                };
            }
            len
        } else if "/.()[]@,|+-=<>*".contains(first) {
            1
        } else {
            return Err(format!("unexpected `{first}`"));
        };
        tokens.push(rest[..len].to_owned());
        rest = rest[len..].trim_start();
    }
    Ok(tokens)
}
