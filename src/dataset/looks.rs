//! The properties that a caption leaves open: the artist, the direction in which the thing faces, its rotation, exact
//! position and shade, a shadow. All come from one number, so a scene with that number always looks the same.

use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::artist::Artist;
use super::compose::{Bend, Shift};
use crate::random::{self, Generator, Mt19937};

/// How much a recipe's pictures vary. Shares are of all pictures, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variation {
    /// Share that is mirrored, among pictures that may be.
    pub mirrored: f32,
    /// Share that is tilted clearly, by up to `degrees`; the others are tilted by at most a tenth of that.
    pub tilted: f32,
    /// Greatest tilt in degrees.
    pub degrees: f32,
    /// Share that is clearly smaller, down to `smallest`.
    pub smaller: f32,
    /// Smallest size, as a share of the full size.
    pub smallest: f32,
    /// Greatest rotation of hues, in degrees.
    pub hue: f32,
    /// Greatest change of lightness, as a share of the way to white or black.
    pub lightness: f32,
    /// Share with a soft shadow.
    pub shadow: f32,
    /// Share that is stretched, sheared or bent.
    pub warped: f32,
    /// Greatest stretch, shear or bend, as a share of the side.
    pub warp: f32,
}

/// One random choice of these properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The artists, the preferred one first.
    pub artists: [Artist; 3],
    /// Whether left and right are exchanged.
    pub mirrored: bool,
    /// Clockwise, in degrees.
    pub tilt: f32,
    /// Share of the full size.
    pub size: f32,
    /// Position within the space that the size leaves free, -1 to 1 across and down.
    pub place: (f32, f32),
    /// Rotation of hues in degrees, factor of saturation, and lightness towards white (or, below 0, towards black).
    pub shade: (f32, f32, f32),
    /// Whether a soft shadow lies below.
    pub shadow: bool,
    /// Ratio of width to height, about 1.
    pub stretch: f32,
    /// Horizontal shear.
    pub shear: f32,
    /// Bend of vertical and horizontal lines.
    pub bend: Bend,
    /// Seed of random arrangements: drops, hearts, small rotations of copies.
    pub details: u64,
}

impl Look {
    /// No variation.
    pub const STILL: Self = Self {
        artists: Artist::ALL,
        mirrored: false,
        tilt: 0.0,
        size: 1.0,
        place: (0.0, 0.0),
        shade: (0.0, 1.0, 0.0),
        shadow: false,
        stretch: 1.0,
        shear: 0.0,
        bend: Bend { across: 0.0, down: 0.0 },
        details: 0,
    };

    /// The look of a seed. It consumes the same random numbers whatever the amounts are.
    pub fn draw(seed: u64, amounts: &Variation) -> Self {
        let mut random = random::stream(seed, "dataset.look", 0);
        let mut artists = Artist::ALL;
        artists.swap(0, random.next_u32() as usize % 3);
        artists.swap(1, 1 + random.next_u32() as usize % 2);
        let [mirror, tilt_kind, size_kind, shadow, warp_kind] = uniform(&mut random);
        let [tilt, hue, lighter, saturation, x, y] = uniform(&mut random).map(|u: f32| 2.0 * u - 1.0);
        let [size] = uniform(&mut random);
        let [stretch, shear, across, down] = uniform(&mut random).map(|u: f32| 2.0 * u - 1.0);
        let details = u64::from(random.next_u32());
        let small = tilt * amounts.degrees / 10.0;
        let warp = if warp_kind < amounts.warped { amounts.warp } else { 0.0 };
        // Cubed, so that most are near the middle.
        let colours = f32::from(u8::from(amounts.hue > 0.0 || amounts.lightness > 0.0));
        let shade = (hue.powi(3) * amounts.hue, 1.0 + 0.15 * colours * saturation, lighter.powi(3) * amounts.lightness);
        Self {
            artists,
            mirrored: mirror < amounts.mirrored,
            tilt: if tilt_kind < amounts.tilted { tilt * amounts.degrees } else { small },
            size: match size_kind < amounts.smaller {
                true => amounts.smallest + (1.0 - amounts.smallest) * size,
                false => 1.0 - 0.06 * size * f32::from(u8::from(amounts.smaller > 0.0)),
            },
            place: (x, y),
            shade,
            shadow: shadow < amounts.shadow,
            stretch: 1.0 + warp * stretch,
            shear: warp * shear,
            bend: Bend { across: 0.4 * warp * across, down: 0.4 * warp * down },
            details,
        }
    }

    /// The change of colours, with hue and lightness multiplied by `share`; none if nothing varies.
    pub fn shift(&self, share: f32) -> Option<Shift> {
        let (hue, saturation, lighter) = self.shade;
        (self.shade != Self::STILL.shade).then(|| Shift::new(share * hue, saturation, share * lighter))
    }

    /// The map of a whole group about the origin: mirror, stretch, shear, and `share` of the tilt.
    pub fn pose(&self, mirrored: bool, share: f32) -> Affine {
        let across = if mirrored { -self.stretch } else { self.stretch };
        Affine::scaled(across, 1.0 / self.stretch)
            .then(Affine::sheared(self.shear))
            .then(Affine::turned(share * self.tilt))
    }
}

impl Variation {
    /// Checks that every field is in its range; the error names the field that is not.
    pub fn check(&self) -> Result<(), String> {
        let shares = [
            ("mirrored", self.mirrored, 1.0),
            ("tilted", self.tilted, 1.0),
            ("degrees", self.degrees, 45.0),
            ("smaller", self.smaller, 1.0),
            ("smallest", self.smallest, 1.0),
            ("hue", self.hue, 180.0),
            ("lightness", self.lightness, 1.0),
            ("shadow", self.shadow, 1.0),
            ("warped", self.warped, 1.0),
            ("warp", self.warp, 0.3),
        ];
        let wrong = shares.into_iter().find(|(_, value, most)| !(0.0..=*most).contains(value));
        if let Some((name, value, most)) = wrong {
            return Err(format!("variation.{name} = {value}: must be 0 to {most}"));
        }
        match self.smaller > 0.0 && self.smallest < 0.2 {
            true => Err(format!("variation.smallest = {}: must be at least 0.2", self.smallest)),
            false => Ok(()),
        }
    }
}

fn uniform<const N: usize>(random: &mut Mt19937) -> [f32; N] {
    let drawn = random.rand(N);
    std::array::from_fn(|i| drawn[i])
}

#[cfg(test)]
mod tests {
    use super::super::testing_open;
    use super::*;

    #[test]
    fn nothing_varies_where_the_amounts_are_0() {
        for seed in 0..50 {
            let look = Look::draw(seed, &Variation::default());
            let still = Look { artists: look.artists, place: look.place, details: look.details, ..Look::STILL };
            assert_eq!(look, still);
        }
    }

    #[test]
    fn shares_and_ranges_are_kept() {
        let amounts = testing_open::stickers().recipe.variation;
        let looks = (0..4000).map(|seed| Look::draw(seed, &amounts)).collect::<Vec<_>>();
        let share = |of: &dyn Fn(&Look) -> bool| looks.iter().filter(|look| of(look)).count() as f32 / 4000.0;
        assert!((share(&|l| l.mirrored) - amounts.mirrored).abs() < 0.03);
        assert!((share(&|l| l.shadow) - amounts.shadow).abs() < 0.02);
        let clearly = share(&|l| l.tilt.abs() > amounts.degrees / 10.0);
        assert!((clearly - 0.9 * amounts.tilted).abs() < 0.03, "{clearly}");
        assert!(looks.iter().all(|l| l.tilt.abs() <= amounts.degrees && (amounts.smallest..=1.0).contains(&l.size)));
        for artist in Artist::ALL {
            assert!((share(&|l| l.artists[0] == artist) - 1.0 / 3.0).abs() < 0.03);
        }
        assert_eq!(Look::draw(7, &amounts), looks[7]);
    }

    #[test]
    fn amounts_out_of_range_are_named() {
        let wrong = |change: fn(&mut Variation)| {
            let mut amounts = Variation::default();
            change(&mut amounts);
            amounts.check().unwrap_err()
        };
        assert!(wrong(|v| v.mirrored = 1.5).contains("variation.mirrored = 1.5"));
        assert!(wrong(|v| v.degrees = f32::NAN).contains("variation.degrees"));
        assert!(wrong(|v| (v.smaller, v.smallest) = (0.5, 0.1)).contains("variation.smallest"));
    }
}
