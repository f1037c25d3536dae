//! The foundations from outside: digits from the command to the classifier, the ladder's top rung (burn), the lesson's
//! numbers. `-- --ignored --nocapture` prints the ladder's times, the generators' times, and the classifier's accuracy.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::foundations::data::Digits;
use fourstep::foundations::linear::{accuracy, batches};
use fourstep::foundations::{Linear, Matrix, Rung};
use fourstep::random::{Generator, Mt19937, Philox, WichmannHill, stream};

const SEED: u64 = 457_428_938_475;

#[test]
fn the_lessons_numbers_are_exact_to_the_digit() {
    let mut generator = WichmannHill::new(SEED);
    assert_eq!(generator.state(), [4976, 20238, 499]);
    let numbers = [(); 3].map(|()| generator.random());
    assert_eq!(numbers, [0.764_525_108_258_208_1, 0.792_088_979_955_394_5, 0.069_128_868_112_672_05]);
}

#[test]
fn digits_are_deterministic_and_can_be_learned() {
    let folder = tempfile::tempdir().expect("a folder");
    let draw = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        draw_digits(&["--train", "3000", "--test", "500", "--seed", seed], &out);
        out
    };
    let (once, again, other) = (draw("once", "1"), draw("again", "1"), draw("other", "2"));
    let bytes = |folder: &Path| std::fs::read(folder.join("train-images-idx3-ubyte.gz")).expect("written");
    assert!(bytes(&once) == bytes(&again) && bytes(&once) != bytes(&other));

    let (learn, test) = (read(&once, "train"), read(&once, "t10k"));
    assert_eq!((learn.len(), test.len()), (3000, 500));
    let share = learned(&learn, &test, 10);
    assert!(share > 0.85, "{share} of the test digits are right");
}

/// The table of docs/FOUNDATIONS.md. With FOURSTEP_MNIST=FOLDER also MNIST, from its four files.
#[test]
#[ignore = "prints the classifier's accuracy; run with --nocapture"]
fn classifier() {
    let folder = tempfile::tempdir().expect("a folder");
    draw_digits(&["--train", "20000", "--test", "5000"], folder.path());
    let (many, test) = (read(folder.path(), "train"), read(folder.path(), "t10k"));
    let few = shipped("train");
    for (name, learn, test, passes) in [
        ("the page's digits", &few, &shipped("t10k"), 30),
        ("the page's digits", &few, &test, 40),
        ("20,000 digits", &many, &test, 6),
    ] {
        print_accuracy(name, learn, test, passes);
    }
    if let Some(folder) = std::env::var_os("FOURSTEP_MNIST") {
        let folder = Path::new(&folder);
        print_accuracy("MNIST", &read(folder, "train"), &read(folder, "t10k"), 10);
    }
}

fn print_accuracy(name: &str, learn: &Digits, test: &Digits, passes: u64) {
    let share = 100.0 * learned(learn, test, passes);
    println!("{name}: {} to learn from, {passes} passes, {share:.1} % of {} test digits", learn.len(), test.len());
}

/// The share of test digits that are read right after `passes` over `learn`, in batches of 50, at a rate of 0.1.
fn learned(learn: &Digits, test: &Digits, passes: u64) -> f64 {
    let mut model = Linear::new(&mut WichmannHill::new(SEED));
    for pass in 0..passes {
        for batch in batches(learn.len(), 50, 1, pass) {
            let labels: Vec<u8> = batch.iter().map(|&i| learn.labels[i]).collect();
            model.step(&learn.images.pick(&batch), &labels, 0.1).expect("a modest rate");
        }
    }
    accuracy(&model.confusion(test).expect("28 x 28"))
}

/// The subset that ships is what `fourstep digits --train 1200 --test 400` draws.
#[test]
fn the_pages_digits_are_the_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    draw_digits(&["--train", "1200", "--test", "400"], folder.path());
    for set in ["train", "t10k"] {
        let ours = shipped(set);
        let drawn = read(folder.path(), set);
        assert_eq!(ours.labels, drawn.labels);
        let same = ours.images.values().iter().zip(drawn.images.values()).filter(|(a, b)| a == b).count();
        // Another libm may round a pixel of ten thousand otherwise.
        assert!(same * 1000 >= 999 * ours.images.values().len(), "{same} pixels agree");
    }
}

#[test]
fn digits_say_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("cat.ttf");
    std::fs::write(&picture, b"\x89PNG").expect("written");
    for (font, words) in [(&picture, "no font"), (&folder.path().join("none.ttf"), "none.ttf")] {
        let out = Command::new(env!("CARGO_BIN_EXE_fourstep"))
            .args(["digits", "--train", "1", "--test", "1", "--out"])
            .arg(folder.path())
            .arg("--font")
            .arg(font)
            .output()
            .expect("the program runs");
        let message = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{message}");
        assert!(message.contains(words) && message.trim_end().lines().count() == 1, "{message}");
    }
}

#[test]
fn burn_agrees_with_the_ladder() {
    for (case, [m, k, n]) in [[5, 784, 10], [37, 291, 19], [1, 1, 1], [63, 127, 3]].into_iter().enumerate() {
        let (a, b) = (matrix(m, k, 2 * case as u64), matrix(k, n, 2 * case as u64 + 1));
        let expected = Rung::Loops.multiply(&a, &b).expect("fits");
        let found = by_burn(&a, &b);
        let far = found.iter().zip(expected.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4, "{m} x {k} x {n}: {far}");
    }
}

#[test]
#[ignore = "prints times; run with --nocapture"]
fn ladder() {
    for rows in [5, 50_000] {
        let (a, b) = (matrix(rows, 784, 0), matrix(784, 10, 1));
        println!("{rows} x 784 times 784 x 10");
        for &rung in Rung::ALL {
            print_time(rung.name(), || drop(rung.multiply(&a, &b).expect("fits")));
        }
        print_time("burn (flex)", || drop(by_burn(&a, &b)));
    }
}

/// The lesson's 7,840 numbers, from each generator as a list in single precision.
#[test]
#[ignore = "prints times; run with --nocapture"]
fn generators() {
    let mut all: [(&str, Box<dyn Generator>); 3] = [
        ("Wichmann-Hill", Box::new(WichmannHill::new(SEED))),
        ("Philox", Box::new(Philox::new(SEED))),
        ("MT19937", Box::new(Mt19937::new(SEED))),
    ];
    for (name, generator) in &mut all {
        print_time(name, || drop(generator.rand(7840)));
    }
}

/// The mean over as many runs as fit into half a second, after one that warms up.
fn print_time(name: &str, mut run: impl FnMut()) {
    let start = Instant::now();
    run();
    let runs = (0.5 / start.elapsed().as_secs_f64()).clamp(1.0, 1000.0) as u32;
    let start = Instant::now();
    (0..runs).for_each(|_| run());
    println!("  {name:<12} {:>12.1} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(runs));
}

fn by_burn(a: &Matrix, b: &Matrix) -> Vec<f32> {
    let device = Device::flex();
    let tensor = |m: &Matrix| Tensor::<2>::from_data(TensorData::new(m.values().to_vec(), m.shape()), &device);
    tensor(a).matmul(tensor(b)).into_data().iter::<f32>().collect()
}

fn matrix(rows: usize, columns: usize, index: u64) -> Matrix {
    let values = stream(1, "ladder", index).rand(rows * columns);
    Matrix::new(rows, columns, values.iter().map(|x| 2.0 * x - 1.0).collect()).expect("as many as asked for")
}

/// `fourstep digits` with these options.
fn draw_digits(options: &[&str], out: &Path) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fourstep"));
    let status = program.arg("digits").args(options).arg("--out").arg(out).status().expect("the program runs");
    assert!(status.success());
}

/// The digits that come with the page.
fn shipped(set: &str) -> Digits {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/how/digits");
    let images = open(&folder, set, "images-idx3-ubyte.gzip");
    let labels = open(&folder, set, "labels-idx1-ubyte.gzip");
    Digits::read(("images", images), ("labels", labels), usize::MAX).expect("a good pair")
}

fn read(folder: &Path, set: &str) -> Digits {
    let images = open(folder, set, "images-idx3-ubyte.gz");
    let labels = open(folder, set, "labels-idx1-ubyte.gz");
    Digits::read(("images", images), ("labels", labels), usize::MAX).expect("a good pair")
}

fn open(folder: &Path, set: &str, rest: &str) -> std::fs::File {
    std::fs::File::open(folder.join(format!("{set}-{rest}"))).expect("there")
}
