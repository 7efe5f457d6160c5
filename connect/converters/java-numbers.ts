/** Numbers as Java prints them, which is how Kafka's converters write fractions. */

/** A double as `Double.toString` of Java 19 and later: `1.0`, `1.0E10`, `NaN`. */
export function doubleText(value: number): string {
  return javaText(value, Math.abs(value).toExponential());
}

/** The float nearest to `value`, as `Float.toString`. */
export function floatText(value: number): string {
  const float = Math.fround(value);
  let text = '';
  // The shortest digits that stand for this float alone; nine are always enough.
  for (let digits = 0; digits < 9; digits++) {
    text = Math.abs(float).toExponential(digits);
    if (Math.fround(Number(text)) === Math.abs(float)) break;
  }
  return javaText(float, text);
}

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
