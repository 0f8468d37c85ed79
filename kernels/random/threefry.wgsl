// Threefry-2x32 with 20 rounds, bitwise equal to threefry2x32() on the host. Other kernels include this file.
fn threefry_round(x: vec2u, r: u32) -> vec2u {
  let sum = x.x + x.y;
  return vec2u(sum, ((x.y << r) | (x.y >> (32u - r))) ^ sum);
}

fn threefry_even(x: vec2u) -> vec2u {
  return threefry_round(threefry_round(threefry_round(threefry_round(x, 13u), 15u), 26u), 6u);
}

fn threefry_odd(x: vec2u) -> vec2u {
  return threefry_round(threefry_round(threefry_round(threefry_round(x, 17u), 29u), 16u), 24u);
}

fn threefry(key: vec2u, counter: vec2u) -> vec2u {
  let third = key.x ^ key.y ^ 0x1bd11bdau;
  var x = threefry_even(counter + key) + vec2u(key.y, third + 1u);
  x = threefry_odd(x) + vec2u(third, key.x + 2u);
  x = threefry_even(x) + vec2u(key.x, key.y + 3u);
  x = threefry_odd(x) + vec2u(key.y, third + 4u);
  return threefry_even(x) + vec2u(third, key.x + 5u);
}
