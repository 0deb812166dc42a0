import { parseArgs } from 'node:util';

/** What `npm run bench` may be told. bench/README.md says what each is for. */
export const optionTypes = {
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  only: { type: 'string', default: '' },
  largest: { type: 'string' },
  short: { type: 'boolean', default: false },
} as const;

/** How much is measured. */
export interface Extent {
  readonly rounds: number;
  readonly seconds: number;
  /** Sessions that growth goes up to. */
  readonly largest: number;
  readonly mails: number;
  readonly lines: number;
  readonly events: number;
}

const whole: Extent = { rounds: 3, seconds: 2, largest: 1e6, mails: 10_000, lines: 50_000, events: 1e6 };
/** Too little for figures: it shows that everything runs. */
const short: Extent = { rounds: 1, seconds: 1, largest: 1e4, mails: 500, lines: 2000, events: 20_000 };

export interface Options extends Extent {
  /** What the names of that which is measured begin with. */
  readonly only: string;
  readonly isShort: boolean;
}

/** Throws for what is no option. */
export function readOptions(args?: string[]): Options {
  const { values } = parseArgs({ ...(args && { args }), options: optionTypes });
  const extent = values.short ? short : whole;
  const { rounds, seconds, largest } = values;
  return {
    ...extent,
    ...(rounds && { rounds: Number(rounds) }),
    ...(seconds && { seconds: Number(seconds) }),
    ...(largest && { largest: Number(largest) }),
    only: values.only,
    isShort: values.short,
  };
}
