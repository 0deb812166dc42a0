/**
 * The end of the month that `now` is in, where months are counted from `anchor`: the first moment after `now` that lies a
 * whole number of months after the anchor, in UTC. In a month that lacks the anchor's day it is the month's last day: from
 * 31 January the ends are 28 (or 29) February, 31 March, 30 April.
 */
export function nextReset(anchor: Date, now: Date): Date {
  let months = Math.max(1, monthOf(now) - monthOf(anchor));
  if (addMonths(anchor, months) <= now) months++;
  return addMonths(anchor, months);
}

function monthOf(time: Date): number {
  return time.getUTCFullYear() * 12 + time.getUTCMonth();
}

function addMonths(anchor: Date, months: number): Date {
  const month = monthOf(anchor) + months;
  const at = new Date(anchor);
  // The first day, so that setting the month does not overflow into the next one.
  at.setUTCFullYear(Math.floor(month / 12), month % 12, 1);
  at.setUTCDate(Math.min(anchor.getUTCDate(), lengthOf(month)));
  return at;
}

function lengthOf(month: number): number {
  return new Date(Date.UTC(Math.floor(month / 12), (month % 12) + 1, 0)).getUTCDate();
}
