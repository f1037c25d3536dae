//! Affine maps of the plane, with y pointing down. They place the parts of a scene.

/// (u, v) -> (a u + b v + x, c u + d v + y).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    a: f32,
    b: f32,
    c: f32,
    d: f32,
    x: f32,
    y: f32,
}

impl Affine {
    /// The identity.
    pub const IDENTITY: Self = Self { a: 1.0, b: 0.0, c: 0.0, d: 1.0, x: 0.0, y: 0.0 };

    /// A translation by (x, y).
    pub fn moved(x: f32, y: f32) -> Self {
        Self { x, y, ..Self::IDENTITY }
    }

    /// Scaling about the origin; a negative factor mirrors.
    pub fn scaled(across: f32, down: f32) -> Self {
        Self { a: across, d: down, ..Self::IDENTITY }
    }

    /// A clockwise rotation about the origin.
    pub fn turned(degrees: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self { a: cos, b: -sin, c: sin, d: cos, ..Self::IDENTITY }
    }

    /// A shear: each row moves sideways by `by` times its height below the origin.
    pub fn sheared(by: f32) -> Self {
        Self { b: by, ..Self::IDENTITY }
    }

    /// First this map, then `next`.
    pub fn then(self, next: Self) -> Self {
        let (x, y) = next.apply(self.x, self.y);
        Self {
            a: next.a * self.a + next.b * self.c,
            b: next.a * self.b + next.b * self.d,
            c: next.c * self.a + next.d * self.c,
            d: next.c * self.b + next.d * self.d,
            x,
            y,
        }
    }

    /// The image of a point.
    pub fn apply(&self, u: f32, v: f32) -> (f32, f32) {
        (self.a * u + self.b * v + self.x, self.c * u + self.d * v + self.y)
    }

    /// The inverse map; none if this one is singular.
    pub fn inverse(&self) -> Option<Self> {
        let area = self.a * self.d - self.b * self.c;
        if !area.is_normal() {
            return None;
        }
        let (a, b, c, d) = (self.d / area, -self.b / area, -self.c / area, self.a / area);
        Some(Self { a, b, c, d, x: -(a * self.x + b * self.y), y: -(c * self.x + d * self.y) })
    }

    /// The factor by which lengths grow: the root of the factor of areas.
    pub fn scale(&self) -> f32 {
        (self.a * self.d - self.b * self.c).abs().sqrt()
    }

    /// How the image moves for one step to the right, and for one step down.
    pub fn steps(&self) -> [(f32, f32); 2] {
        [(self.a, self.c), (self.b, self.d)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_follow_each_other_and_are_undone() {
        let map = Affine::scaled(2.0, 0.5).then(Affine::turned(90.0)).then(Affine::moved(1.0, 3.0));
        let (x, y) = map.apply(1.0, 1.0);
        assert!((x - 0.5).abs() < 1e-6 && (y - 5.0).abs() < 1e-6, "clockwise: right becomes down: {x} {y}");
        let (u, v) = map.inverse().unwrap().apply(x, y);
        assert!((u - 1.0).abs() < 1e-5 && (v - 1.0).abs() < 1e-5);
        assert!((map.scale() - 1.0).abs() < 1e-6);
        assert_eq!(Affine::scaled(0.0, 1.0).inverse(), None);
    }
}
