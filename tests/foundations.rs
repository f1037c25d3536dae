//! The foundations from outside: digits from the command to the classifier, the ladder's top rung (burn), the lesson's
//! numbers. `-- --ignored --nocapture` prints the ladder's times.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::foundations::data::Digits;
use fourstep::foundations::linear::{accuracy, batches};
use fourstep::foundations::{Linear, Matrix, Rung};
use fourstep::random::{Generator, WichmannHill, stream};

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
        let status = Command::new(env!("CARGO_BIN_EXE_fourstep"))
            .args(["digits", "--train", "3000", "--test", "500", "--seed", seed, "--out"])
            .arg(&out)
            .status()
            .expect("the program runs");
        assert!(status.success());
        out
    };
    let (once, again, other) = (draw("once", "1"), draw("again", "1"), draw("other", "2"));
    let bytes = |folder: &Path| std::fs::read(folder.join("train-images-idx3-ubyte.gz")).expect("written");
    assert!(bytes(&once) == bytes(&again) && bytes(&once) != bytes(&other));

    let (learn, test) = (read(&once, "train"), read(&once, "t10k"));
    assert_eq!((learn.len(), test.len()), (3000, 500));
    let mut model = Linear::new(&mut WichmannHill::new(SEED));
    for pass in 0..10 {
        for batch in batches(learn.len(), 50, 1, pass) {
            let labels: Vec<u8> = batch.iter().map(|&i| learn.labels[i]).collect();
            model.step(&learn.images.pick(&batch), &labels, 0.1).expect("a modest rate");
        }
    }
    let share = accuracy(&model.confusion(&test).expect("28 x 28"));
    assert!(share > 0.85, "{share} of the test digits are right");
}

/// The subset that ships is what `fourstep digits --train 1200 --test 400` draws.
#[test]
fn the_pages_digits_are_the_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new(env!("CARGO_BIN_EXE_fourstep"))
        .args(["digits", "--train", "1200", "--test", "400", "--out"])
        .arg(folder.path())
        .status()
        .expect("the program runs");
    assert!(status.success());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/how/digits");
    for set in ["train", "t10k"] {
        let ours = Digits::read(
            ("images", open(&shipped, set, "images-idx3-ubyte.gzip")),
            ("labels", open(&shipped, set, "labels-idx1-ubyte.gzip")),
            usize::MAX,
        )
        .expect("a good pair");
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

fn read(folder: &Path, set: &str) -> Digits {
    let images = open(folder, set, "images-idx3-ubyte.gz");
    let labels = open(folder, set, "labels-idx1-ubyte.gz");
    Digits::read(("images", images), ("labels", labels), usize::MAX).expect("a good pair")
}

fn open(folder: &Path, set: &str, rest: &str) -> std::fs::File {
    std::fs::File::open(folder.join(format!("{set}-{rest}"))).expect("there")
}
