/** Numbers as Java prints them, which is how Kafka's converters write fractions. */

/** A double as `Double.toString` of Java 19 and later: `1.0`, `1.0E10`, `NaN`. */
export function doubleText(value: number): string {
  return javaText(value, Math.abs(value).toExponential());
}

/** The float nearest to `value`, as `Float.toString`. */
export function floatText(value: number): string {
  const float = Math.fround(value);
  const size = Math.abs(float);
  let text = '';
  // The shortest digits that stand for this float alone; nine are always enough.
  for (let digits = 0; digits < 9; digits++) {
    text = evenly(size, digits);
    if (Math.fround(Number(text)) === size) break;
  }
  return javaText(float, text);
}

/** As `toExponential`, but of two numbers that are equally near, the even one. */
function evenly(size: number, digits: number): string {
  const text = size.toExponential(digits);
  const [exact = '', power = ''] = size.toExponential(EXACT_DIGITS).split('e');
  const end = digits === 0 ? 1 : digits + 2;
  const isHalf = /^\.?50*$/.test(exact.slice(end));
  const isOdd = /[13579]e/.test(text);
  return isHalf && isOdd ? `${exact.slice(0, end)}e${power}` : text;
}

/** As many as there can be; a float that is half way between two numbers has fewer. */
const EXACT_DIGITS = 100;

/** @param exponential the magnitude, such as `1.25e+3`. */
function javaText(value: number, exponential: string): string {
  if (!Number.isFinite(value)) return String(value);
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa = '', exponent = ''] = exponential.split('e');
  const digits = mantissa.replace('.', '');
  const power = Number(exponent);
  if (power < -3 || power >= 7) {
    return `${sign}${digits[0]!}.${digits.slice(1) || '0'}E${power}`;
  }
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${digits}`;
  const whole = digits.slice(0, power + 1).padEnd(power + 1, '0');
  return `${sign}${whole}.${digits.slice(power + 1) || '0'}`;
}
