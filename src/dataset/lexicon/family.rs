//! Names of families, which Unicode writes as "family: man, woman, girl, boy".

use super::noun::{Noun, Number};

/// The nouns of the family with this Unicode name, the name first; none for other names.
pub fn nouns(unicode_name: &str) -> Option<Vec<Noun>> {
    let members = unicode_name.strip_prefix("family: ")?.split(", ").collect::<Vec<_>>();
    let count = |wanted: &str| members.iter().filter(|member| **member == wanted).count();
    let (men, women, girls, boys) = (count("man"), count("woman"), count("girl"), count("boy"));
    if men + women == 0 || girls + boys == 0 || men + women + girls + boys != members.len() {
        return None;
    }
    let children = joined(&[some(girls, "girl", "girls"), some(boys, "boy", "boys")]);
    let own = joined(&[some(girls, "daughter", "daughters"), some(boys, "son", "sons")]);
    let countable = |text: String| Noun::new(&text, Number::Countable);
    let plural = |text: String| Noun::new(&text, Number::Plural);
    Some(match (men, women) {
        (1, 0) => vec![
            countable(format!("father with {children}")),
            countable(format!("father with {own}")),
            countable(format!("dad with {children}")),
            countable(format!("single dad with {children}")),
        ],
        (0, 1) => vec![
            countable(format!("mother with {children}")),
            countable(format!("mother with {own}")),
            countable(format!("mom with {children}")),
            countable(format!("single mom with {children}")),
        ],
        (1, 1) => vec![
            countable(format!("family with a mom, a dad{} {children}", if girls * boys > 0 { "," } else { " and" })),
            plural(format!("mom and dad with {children}")),
            plural(format!("parents with {own}")),
            plural(format!("father and mother with {children}")),
        ],
        _ => {
            let (parents, adults) = if men > 0 { ("dads", "men") } else { ("moms", "women") };
            vec![
                countable(format!("family with two {parents} and {children}")),
                plural(format!("two {parents} with {children}")),
                plural(format!("two {parents} with {own}")),
                plural(format!("two {adults} with {children}")),
            ]
        }
    })
}

fn some(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("a {one}")),
        2 => Some(format!("two {many}")),
        _ => Some(many.to_owned()),
    }
}

fn joined(parts: &[Option<String>]) -> String {
    parts.iter().flatten().cloned().collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_their_members() {
        let name = |text| nouns(text).unwrap()[0].one(&[]);
        assert_eq!(name("family: man, woman, girl, boy"), "a family with a mom, a dad, a girl and a boy");
        assert_eq!(name("family: woman, woman, boy, boy"), "a family with two moms and two boys");
        assert_eq!(name("family: man, girl"), "a father with a girl");
        assert_eq!(nouns("family: man, girl").unwrap()[1].many(2, &[]).unwrap(), "two fathers with a daughter");
        assert!(nouns("family").is_none() && nouns("kiss: woman, man").is_none());
    }
}
