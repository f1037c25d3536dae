//! The edit distance between two words.

/// The number of edits that turn one word into another: a letter inserted, deleted or replaced, or two exchanged. None
/// if there are more than `most`.
pub fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.chars().collect::<Vec<_>>(), b.chars().collect::<Vec<_>>());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut older = Vec::new();
    let mut old = (0..=b.len()).collect::<Vec<_>>();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = old[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(old[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(older_at(&older, j - 2) + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut old, row);
    }
    old.last().copied().filter(|edits| *edits <= most)
}

fn older_at(row: &[usize], at: usize) -> usize {
    row.get(at).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        for (a, b, edits) in [("fox", "fox", 0), ("fox", "box", 1), ("owl", "owls", 1), ("dcuk", "duck", 1)] {
            assert_eq!(distance(a, b, 2), Some(edits), "{a} {b}");
        }
        assert_eq!(distance("fox", "elephant", 2), None);
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
    }
}
