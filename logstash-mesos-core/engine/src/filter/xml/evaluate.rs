//! `XPath` 1.0 expressions, evaluated.

use std::collections::BTreeSet;

use super::dom::{Document, Name, NodeKind};
use super::xpath::{Axis, Expr, Op, Start, Step, Test};

/// A node of the document, or an attribute of an element. The order is that of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeRef {
    node: usize,
    attribute: Option<usize>,
}

/// What an expression gives.
#[derive(Clone, Debug)]
pub(super) enum Result {
    Nodes(BTreeSet<NodeRef>),
    Text(String),
    Number(f64),
    Bool(bool),
}

/// The expression cannot be evaluated: an unknown function, prefix or wrong type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong;

type Outcome<T> = std::result::Result<T, Wrong>;

/// A document with the prefixes that expressions may use.
pub(super) struct Evaluator<'d> {
    pub(super) document: &'d Document,
    pub(super) namespaces: &'d [(String, String)],
}

#[derive(Clone, Copy)]
struct Context {
    at: NodeRef,
    position: usize,
    size: usize,
}

impl Evaluator<'_> {
    /// The value of an expression for the whole document.
    pub(super) fn evaluate(&self, expr: &Expr) -> Outcome<Result> {
        self.value(expr, Context { at: NodeRef { node: 0, attribute: None }, position: 1, size: 1 })
    }

    /// A node as Nokogiri's `to_s`: elements as XML, attributes as their value.
    pub(super) fn written(&self, at: NodeRef) -> String {
        if at.attribute.is_some() {
            return self.string(at);
        }
        let mut out = String::new();
        self.document.write(at.node, &mut out);
        out
    }

    fn value(&self, expr: &Expr, context: Context) -> Outcome<Result> {
        Ok(match expr {
            Expr::Literal(text) => Result::Text(text.clone()),
            Expr::Number(number) => Result::Number(*number),
            Expr::Negative(inner) => Result::Number(-self.number(&self.value(inner, context)?)),
            Expr::Call(name, arguments) => self.call(name, arguments, context)?,
            Expr::Path { start, steps } => {
                let mut nodes = match start {
                    Start::Document => BTreeSet::from([NodeRef { node: 0, attribute: None }]),
                    Start::Context => BTreeSet::from([context.at]),
                    Start::Expr(inner, predicates) => {
                        let Result::Nodes(nodes) = self.value(inner, context)? else { return Err(Wrong) };
                        let kept = self.filter(nodes.into_iter().collect(), predicates)?;
                        kept.into_iter().collect()
                    }
                };
                for step in steps {
                    let mut next = BTreeSet::new();
                    for node in nodes {
                        next.extend(self.step(node, step)?);
                    }
                    nodes = next;
                }
                Result::Nodes(nodes)
            }
            Expr::Binary(op, left, right) => {
                match op {
                    Op::Or if self.bool(&self.value(left, context)?) => return Ok(Result::Bool(true)),
                    Op::And if !self.bool(&self.value(left, context)?) => return Ok(Result::Bool(false)),
                    _ => {}
                }
                let right = self.value(right, context)?;
                if matches!(op, Op::Or | Op::And) {
                    return Ok(Result::Bool(self.bool(&right)));
                }
                let left = self.value(left, context)?;
                let (one, other) = (self.number(&left), self.number(&right));
                match op {
                    Op::Union => match (left, right) {
                        (Result::Nodes(mut all), Result::Nodes(more)) => {
                            all.extend(more);
                            Result::Nodes(all)
                        }
                        _ => return Err(Wrong),
                    },
                    Op::Add => Result::Number(one + other),
                    Op::Subtract => Result::Number(one - other),
                    Op::Multiply => Result::Number(one * other),
                    Op::Divide => Result::Number(one / other),
                    Op::Modulo => Result::Number(one % other),
                    _ => Result::Bool(self.compare(*op, &left, &right)),
                }
            }
        })
    }

    /// Of node sets it is enough that one node fits.
    fn compare(&self, op: Op, left: &Result, right: &Result) -> bool {
        match (left, right) {
            (Result::Bool(_), _) | (_, Result::Bool(_)) if matches!(op, Op::Equal | Op::NotEqual) => {
                (self.bool(left) == self.bool(right)) == (op == Op::Equal)
            }
            (Result::Nodes(nodes), other) => {
                nodes.iter().any(|node| self.compare(op, &Result::Text(self.string(*node)), other))
            }
            (other, Result::Nodes(nodes)) => {
                nodes.iter().any(|node| self.compare(op, other, &Result::Text(self.string(*node))))
            }
            (Result::Text(one), Result::Text(other)) if matches!(op, Op::Equal | Op::NotEqual) => {
                (one == other) == (op == Op::Equal)
            }
            _ => {
                let (one, other) = (self.number(left), self.number(right));
                match op {
                    Op::Equal => one == other,
                    Op::NotEqual => one != other,
                    Op::Less => one < other,
                    Op::LessEqual => one <= other,
                    Op::Greater => one > other,
                    _ => one >= other,
                }
            }
        }
    }

    fn filter(&self, mut nodes: Vec<NodeRef>, predicates: &[Expr]) -> Outcome<Vec<NodeRef>> {
        for predicate in predicates {
            let size = nodes.len();
            let mut kept = Vec::new();
            for (at, node) in nodes.into_iter().enumerate() {
                let fits = match self.value(predicate, Context { at: node, position: at + 1, size })? {
                    #[expect(clippy::cast_precision_loss, reason = "positions are small")]
                    Result::Number(number) => number == (at + 1) as f64,
                    other => self.bool(&other),
                };
                if fits {
                    kept.push(node);
                }
            }
            nodes = kept;
        }
        Ok(nodes)
    }

    fn step(&self, from: NodeRef, step: &Step) -> Outcome<Vec<NodeRef>> {
        let mut nodes = Vec::new();
        for node in self.axis(from, step.axis) {
            if self.fits(node, step)? {
                nodes.push(node);
            }
        }
        self.filter(nodes, &step.predicates)
    }

    /// The nodes of an axis, nearest first.
    fn axis(&self, from: NodeRef, axis: Axis) -> Vec<NodeRef> {
        let plain = |node| NodeRef { node, attribute: None };
        let nodes = &self.document.nodes;
        if from.attribute.is_some() {
            let mut up = vec![plain(from.node)];
            return match axis {
                Axis::SelfNode | Axis::DescendantOrSelf => vec![from],
                Axis::Parent => up,
                Axis::Ancestor | Axis::AncestorOrSelf => {
                    up.extend(self.axis(plain(from.node), Axis::Ancestor));
                    if axis == Axis::AncestorOrSelf {
                        up.insert(0, from);
                    }
                    up
                }
                _ => Vec::new(),
            };
        }
        let parent = nodes[from.node].parent;
        let siblings = || if from.node == 0 { &[][..] } else { nodes[parent].children.as_slice() };
        let place = || siblings().iter().position(|node| *node == from.node).unwrap_or(0);
        match axis {
            Axis::Child => nodes[from.node].children.iter().copied().map(plain).collect(),
            Axis::SelfNode => vec![from],
            Axis::Parent if from.node == 0 => Vec::new(),
            Axis::Parent => vec![plain(parent)],
            Axis::Attribute => {
                let count = self.document.element(from.node).map_or(0, |element| element.attributes.len());
                (0..count).map(|at| NodeRef { node: from.node, attribute: Some(at) }).collect()
            }
            Axis::Descendant | Axis::DescendantOrSelf => {
                let mut found = Vec::new();
                self.below(from.node, &mut found);
                let skip = usize::from(axis == Axis::Descendant);
                found.into_iter().skip(skip).map(plain).collect()
            }
            Axis::Ancestor | Axis::AncestorOrSelf => {
                let mut found = if axis == Axis::AncestorOrSelf { vec![from] } else { Vec::new() };
                let mut node = from.node;
                while node != 0 {
                    node = nodes[node].parent;
                    found.push(plain(node));
                }
                found
            }
            Axis::FollowingSibling => siblings().iter().skip(place() + 1).copied().map(plain).collect(),
            Axis::PrecedingSibling => siblings()[..place()].iter().rev().copied().map(plain).collect(),
            // Nodes are numbered in the order of the document.
            Axis::Following => {
                let mut own = Vec::new();
                self.below(from.node, &mut own);
                let last = own.last().copied().unwrap_or(from.node);
                (last + 1..nodes.len()).map(plain).collect()
            }
            Axis::Preceding => {
                let above = self.axis(from, Axis::Ancestor);
                (1..from.node).rev().map(plain).filter(|node| !above.contains(node)).collect()
            }
        }
    }

    fn below(&self, node: usize, found: &mut Vec<usize>) {
        found.push(node);
        for child in &self.document.nodes[node].children {
            self.below(*child, found);
        }
    }

    fn fits(&self, at: NodeRef, step: &Step) -> Outcome<bool> {
        let kind = &self.document.nodes[at.node].kind;
        let name = self.name(at);
        let namespace = |prefix: &String| {
            let found =
                self.namespaces.iter().find(|(have, _)| have == prefix).map(|(_, namespace)| namespace);
            found.ok_or(Wrong)
        };
        let main = if step.axis == Axis::Attribute { at.attribute.is_some() } else { at.attribute.is_none() };
        Ok(match &step.test {
            Test::Node => true,
            Test::Text => {
                at.attribute.is_none() && matches!(kind, NodeKind::Text { .. } | NodeKind::CData(_))
            }
            Test::Comment => at.attribute.is_none() && matches!(kind, NodeKind::Comment(_)),
            Test::Instruction => at.attribute.is_none() && matches!(kind, NodeKind::Instruction { .. }),
            Test::Any(None) => main && name.is_some(),
            Test::Any(Some(prefix)) => {
                let namespace = namespace(prefix)?;
                main && name.is_some_and(|name| name.namespace == *namespace)
            }
            Test::Name(prefix, local) => {
                let namespace = prefix.as_ref().map(namespace).transpose()?.map_or("", String::as_str);
                main && name.is_some_and(|name| name.local == *local && name.namespace == namespace)
            }
        })
    }

    fn name(&self, at: NodeRef) -> Option<&Name> {
        let element = self.document.element(at.node)?;
        match at.attribute {
            Some(attribute) => element.attributes.get(attribute).map(|(name, _)| name),
            None => Some(&element.name),
        }
    }

    fn string(&self, at: NodeRef) -> String {
        if let Some(attribute) = at.attribute {
            let value = self.document.element(at.node).and_then(|element| element.attributes.get(attribute));
            return value.map_or_else(String::new, |(_, value)| value.clone());
        }
        let mut out = String::new();
        self.document.text_of(at.node, &mut out);
        out
    }

    fn text(&self, value: &Result) -> String {
        match value {
            Result::Text(text) => text.clone(),
            Result::Nodes(nodes) => nodes.first().map_or_else(String::new, |node| self.string(*node)),
            Result::Bool(flag) => flag.to_string(),
            Result::Number(number) if number.is_infinite() => {
                if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Result::Number(number) => number.to_string(),
        }
    }

    fn number(&self, value: &Result) -> f64 {
        match value {
            Result::Number(number) => *number,
            Result::Bool(flag) => f64::from(u8::from(*flag)),
            other => {
                let text = self.text(other);
                let text = text.trim();
                let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
                if plain { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
            }
        }
    }

    #[expect(clippy::unused_self, reason = "beside its siblings")]
    fn bool(&self, value: &Result) -> bool {
        match value {
            Result::Bool(flag) => *flag,
            Result::Number(number) => *number != 0.0 && !number.is_nan(),
            Result::Text(text) => !text.is_empty(),
            Result::Nodes(nodes) => !nodes.is_empty(),
        }
    }

    fn call(&self, name: &str, arguments: &[Expr], context: Context) -> Outcome<Result> {
        let values =
            arguments.iter().map(|argument| self.value(argument, context)).collect::<Outcome<Vec<_>>>()?;
        let own = || Result::Nodes(BTreeSet::from([context.at]));
        let first = || values.first().cloned().unwrap_or_else(own);
        let text = |at: usize| values.get(at).map(|value| self.text(value)).ok_or(Wrong);
        let nodes = |value: Result| match value {
            Result::Nodes(nodes) => Ok(nodes),
            _ => Err(Wrong),
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let count = |count: usize| Result::Number(count as f64);
        let named = |part: fn(&Name) -> String| {
            let node = nodes(first())?.first().copied();
            Ok(Result::Text(node.and_then(|node| self.name(node)).map_or_else(String::new, part)))
        };
        Ok(match name {
            "last" => count(context.size),
            "position" => count(context.position),
            "count" => count(nodes(values.first().cloned().ok_or(Wrong)?)?.len()),
            "name" => named(Name::qualified)?,
            "local-name" => named(|name| name.local.clone())?,
            "namespace-uri" => named(|name| name.namespace.clone())?,
            "string" => Result::Text(self.text(&first())),
            "concat" => Result::Text(values.iter().map(|value| self.text(value)).collect()),
            "starts-with" => Result::Bool(text(0)?.starts_with(&text(1)?)),
            "contains" => Result::Bool(text(0)?.contains(&text(1)?)),
            "substring-before" => Result::Text(
                text(0)?.split_once(&text(1)?).map_or_else(String::new, |(before, _)| before.to_owned()),
            ),
            "substring-after" => Result::Text(
                text(0)?.split_once(&text(1)?).map_or_else(String::new, |(_, after)| after.to_owned()),
            ),
            "substring" => {
                let start = round(self.number(values.get(1).ok_or(Wrong)?));
                let end = values.get(2).map_or(f64::INFINITY, |len| start + round(self.number(len)));
                #[expect(clippy::cast_precision_loss, reason = "positions are small")]
                let inside = |at: usize| (at + 1) as f64 >= start && ((at + 1) as f64) < end;
                Result::Text(
                    text(0)?
                        .chars()
                        .enumerate()
                        .filter(|(at, _)| inside(*at))
                        .map(|(_, char)| char)
                        .collect(),
                )
            }
            "string-length" => count(self.text(&first()).chars().count()),
            "normalize-space" => {
                Result::Text(self.text(&first()).split_whitespace().collect::<Vec<_>>().join(" "))
            }
            "translate" => {
                let (from, to): (Vec<char>, Vec<char>) =
                    (text(1)?.chars().collect(), text(2)?.chars().collect());
                let change = |char| match from.iter().position(|from| *from == char) {
                    Some(at) => to.get(at).copied(),
                    None => Some(char),
                };
                Result::Text(text(0)?.chars().filter_map(change).collect())
            }
            "boolean" => Result::Bool(self.bool(values.first().ok_or(Wrong)?)),
            "not" => Result::Bool(!self.bool(values.first().ok_or(Wrong)?)),
            "true" => Result::Bool(true),
            "false" => Result::Bool(false),
            "number" => Result::Number(self.number(&first())),
            "sum" => {
                let all = nodes(values.first().cloned().ok_or(Wrong)?)?;
                Result::Number(all.iter().map(|node| self.number(&Result::Text(self.string(*node)))).sum())
            }
            "floor" => Result::Number(self.number(values.first().ok_or(Wrong)?).floor()),
            "ceiling" => Result::Number(self.number(values.first().ok_or(Wrong)?).ceil()),
            "round" => Result::Number(round(self.number(values.first().ok_or(Wrong)?))),
            _ => return Err(Wrong),
        })
    }
}

/// Halves go up.
fn round(number: f64) -> f64 {
    (number + 0.5).floor()
}

#[cfg(test)]
mod tests {
    use super::super::xpath::parse;
    use super::*;

    const BOOKS: &str = "<s><b id='1' l='en'><t>A</t><p>10</p></b><b id='2'><t>B</t><p>20</p></b>\
         <n:b xmlns:n='u:1' id='3'><n:t>C &lt;</n:t></n:b><!-- c --></s>";

    fn find(expression: &str) -> Vec<String> {
        let document = Document::parse(BOOKS, false).unwrap();
        let namespaces = [("n".to_owned(), "u:1".to_owned())];
        let evaluator = Evaluator { document: &document, namespaces: &namespaces };
        match evaluator.evaluate(&parse(expression).unwrap()) {
            Ok(Result::Nodes(nodes)) => nodes.into_iter().map(|node| evaluator.written(node)).collect(),
            Ok(other) => vec![evaluator.text(&other)],
            Err(Wrong) => vec!["wrong".to_owned()],
        }
    }

    #[test]
    fn paths_find_nodes() {
        assert_eq!(find("/s/b/t/text()"), ["A", "B"]);
        assert_eq!(find("//@id"), ["1", "2", "3"]);
        assert_eq!(find("/s/b[2]/t"), ["<t>B</t>"]);
        assert_eq!(find("/s/b[@id='2']/p/text()"), ["20"]);
        assert_eq!(find("/s/b[p > 15]/@id"), ["2"]);
        assert_eq!(find("//b[last()]/../b[1]/@l"), ["en"]);
        assert_eq!(find("//n:t/text()"), ["C &lt;"]);
        assert_eq!(find("/s/*[position() < 3]/@id"), ["1", "2"]);
        assert_eq!(find("//t[. = 'A']/following-sibling::p | //t[.='B']"), ["<p>10</p>", "<t>B</t>"]);
        assert_eq!(find("(//t)[2]"), ["<t>B</t>"]);
        assert_eq!(find("//comment()"), ["<!-- c -->"]);
        assert_eq!(find("//p[text()='20']/ancestor::b/@id"), ["2"]);
        assert!(find("//nope").is_empty());
    }

    #[test]
    fn functions_and_operators() {
        for (expression, value) in [
            ("count(//b)", "2"),
            ("sum(//p) div 2", "15"),
            ("string(/s/b/t)", "A"),
            ("concat(name(//n:b), '-', local-name(//n:b))", "n:b-b"),
            ("substring('hello', 2, 3)", "ell"),
            ("translate('abc', 'ab', 'A')", "Ac"),
            ("normalize-space('  a  b ')", "a b"),
            ("1 + 2 * 3 = 7 and not(false())", "true"),
            ("//p = 20", "true"),
            ("-(3) mod 2", "-1"),
            ("boolean(//nope)", "false"),
            ("unknown()", "wrong"),
            ("//q:x", "wrong"),
        ] {
            assert_eq!(find(expression), [value], "{expression}");
        }
        for wrong in ["//", "a[", "a]", "'x", "1 +", "a::b", "#", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&"(".repeat(10_000)).is_err());
    }
}
