//! Tables for people at a terminal.

/// Writes rows of equally many entries, one to a line. Each column is as wide as its widest entry, in characters, with two
/// spaces behind it; nothing stands behind the last entry of a line.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let entries = row.iter().zip(&widths).map(|(entry, width)| format!("{entry:width$}  "));
        entries.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_below_each_other() {
        let rows = [["ID", "NAME", ""], ["1", "größer", "x"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "ID  NAME\n1   größer  x\n");
        assert_eq!(columns(&[]), "");
    }
}
