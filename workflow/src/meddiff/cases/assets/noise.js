// The noise that was scored, drawn again: Philox4x32-10 keyed by (seed, image id), counted by (block, step), and
// Box and Muller's transform, as in meddiff/diffusion/noise.py. A browser test compares the two.

const PHILOX_MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const PHILOX_STEPS = [0x9e3779b9, 0xbb67ae85];
const STREAM_EPS = 0;

// High and low word of the product of two 32-bit words.
function multiplied(a, b) {
  const a0 = a & 0xffff, a1 = a >>> 16, b0 = b & 0xffff, b1 = b >>> 16;
  const middle = a1 * b0 + Math.floor((a0 * b0) / 65536);
  const carried = a0 * b1 + (middle % 65536);
  const high = a1 * b1 + Math.floor(middle / 65536) + Math.floor(carried / 65536);
  return [high >>> 0, Math.imul(a, b) >>> 0];
}

function philox(counter, key) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round += 1) {
    const [high0, low0] = multiplied(c0, PHILOX_MULTIPLIERS[0]);
    const [high1, low1] = multiplied(c2, PHILOX_MULTIPLIERS[1]);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + PHILOX_STEPS[0]) >>> 0;
    k1 = (k1 + PHILOX_STEPS[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

// Standard normal numbers of one step of an image, in the order of channel, row, column.
function scoredNoise(key, step, count, levels) {
  const opposite = levels === "antithetic" && step % 2 === 1;
  const drawn = opposite ? step - 1 : step;
  const noise = new Float32Array(count + 3);
  for (let block = 0; block * 4 < count; block += 1) {
    const words = philox([block, drawn, STREAM_EPS, 0], key);
    for (let pair = 0; pair < 2; pair += 1) {
      const radius = Math.sqrt(-2 * Math.log(((words[2 * pair] >>> 8) + 1) * 2 ** -24));
      const angle = (words[2 * pair + 1] >>> 8) * (2 * Math.PI * 2 ** -24);
      noise[4 * block + 2 * pair] = radius * Math.cos(angle);
      noise[4 * block + 2 * pair + 1] = radius * Math.sin(angle);
    }
  }
  return opposite ? noise.map((value) => -value) : noise;
}

// Where in the noise of Haar coefficients [4C, H/2, W/2] the four bands of a pixel are, and their signs.
function haarNoiseAt(noise, channel, y, x, side) {
  const half = side / 2;
  const at = (4 * channel * half + (y >> 1)) * half + (x >> 1);
  const vertical = y % 2 ? -1 : 1, horizontal = x % 2 ? -1 : 1;
  const band = (number) => noise[at + number * half * half];
  return band(0) + vertical * band(1) + horizontal * band(2) + vertical * horizontal * band(3);
}

// The noised image as it can be shown: alpha x + sigma eps, divided so that contrast stays comparable.
// `pixels` are RGBA bytes [side, side, 4] of the image; the result has the same form.
function noisedPixels(pixels, side, channels, scored, step, logsnr) {
  const noise = scoredNoise(scored.key, step, side * side * channels, scored.levels);
  const scale = scored.wavelet ? 2 : 1;
  const alpha = Math.sqrt(1 / (1 + Math.exp(-logsnr))), sigma = Math.sqrt(1 / (1 + Math.exp(logsnr)));
  const size = Math.hypot(alpha, scale * sigma);
  const result = new Uint8ClampedArray(pixels.length).fill(255);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      for (let c = 0; c < 3; c += 1) {
        const channel = channels === 1 ? 0 : c;
        const eps = scored.wavelet
          ? haarNoiseAt(noise, channel, y, x, side)
          : noise[(channel * side + y) * side + x];
        const at = 4 * (y * side + x) + c;
        const value = (alpha * (pixels[at] / 127.5 - 1) + sigma * eps) / size;
        result[at] = (value + 1) * 127.5;
      }
    }
  }
  return result;
}
