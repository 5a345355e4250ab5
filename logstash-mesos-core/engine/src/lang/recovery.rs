//! Going on after an error: to where something begins that can be understood again.

use super::parser::Parser;

impl Parser<'_> {
    /// Goes behind the broken statement that began at `start`: to the brace that ends it, or (`has_body`
    /// unset) to the next line.
    pub(super) fn skip_statement(&mut self, start: usize, has_body: bool) {
        if self.gave_up {
            return;
        }
        if !has_body {
            let at = self.lexer.at();
            // `name => value` where a plugin was expected: over the line, not over the end of the body.
            while let Some(byte) = self.lexer.peek() {
                if byte == b'\n' || byte == b'}' {
                    break;
                }
                if byte == b'{' {
                    break;
                }
                self.step();
            }
            if self.lexer.peek() == Some(b'{') {
                self.skip_braces(0);
            } else if self.lexer.at() == at && self.lexer.peek() != Some(b'}') {
                self.step();
            }
            return;
        }
        // The complaint may lie within nested braces: count from the beginning of the statement.
        self.lexer.go_to(start);
        self.skip_braces(0);
    }

    /// From before an opening brace to behind its closing one.
    pub(super) fn skip_braces(&mut self, mut open: usize) {
        loop {
            self.lexer.space();
            match self.lexer.peek() {
                None => {
                    self.gave_up = true;
                    return;
                }
                Some(b'{') => open += 1,
                Some(b'}') => {
                    open = open.saturating_sub(1);
                    if open == 0 {
                        self.step();
                        return;
                    }
                }
                Some(b'"' | b'\'') => {
                    if matches!(self.lexer.string(), Ok(Some(_))) {
                        continue;
                    }
                    self.gave_up = true;
                    return;
                }
                Some(_) => {}
            }
            self.step();
        }
    }

    /// To behind the next opening brace. Says whether there is one.
    pub(super) fn skip_to_brace(&mut self) -> bool {
        loop {
            self.lexer.space();
            match self.lexer.peek() {
                None | Some(b'}') => return false,
                Some(b'{') => return self.lexer.take("{"),
                Some(b'"' | b'\'') if matches!(self.lexer.string(), Ok(Some(_))) => {}
                Some(_) => self.step(),
            }
        }
    }

    pub(super) fn skip_to_section(&mut self) {
        let mut before = self.lexer.at();
        while !self.gave_up {
            self.lexer.space();
            let mut ahead = self.lexer.clone();
            // Another section, be its name right or wrong.
            let named = ahead.name().is_some();
            ahead.space();
            if self.lexer.is_at_end() || (named && ahead.peek() == Some(b'{')) {
                return;
            }
            match self.lexer.peek() {
                Some(b'{') => self.skip_braces(0),
                Some(b'"' | b'\'') if matches!(self.lexer.string(), Ok(Some(_))) => {}
                _ => {
                    if self.lexer.name().is_none() {
                        self.step();
                    }
                }
            }
            if self.lexer.at() == before {
                self.step();
            }
            before = self.lexer.at();
        }
    }

    pub(super) fn step(&mut self) {
        let here = self.here();
        self.lexer.go_to(here.end);
    }
}
