// Figures as people read them.

const PREFIXES = ["", "k", "M", "G", "T"];

/** 1234567 → "1.23 M"; three digits, and a prefix. @param {number} value */
function scaled(value) {
  let power = 0;
  let rest = value;
  while (rest >= 999.5 && power < PREFIXES.length - 1) {
    rest /= 1000;
    power++;
  }
  const digits = rest >= 99.95 || (power === 0 && Number.isInteger(rest)) ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)} ${PREFIXES[power]}`;
}

/** @param {number} bytesPerSecond */
export function bitRate(bytesPerSecond) {
  return `${scaled(bytesPerSecond * 8)}bit/s`;
}

/** @param {number} perSecond */
export function packetRate(perSecond) {
  return `${scaled(Math.round(perSecond)).trimEnd()} packets/s`;
}

/** Whole while that is short. @param {number} count */
export function counted(count) {
  return count < 100_000 ? count.toLocaleString("en") : scaled(count).trimEnd();
}

/** Of the two largest units. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}
