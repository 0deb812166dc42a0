import { parseArgs } from 'node:util';

/** The options of `npm run bench`, as in bench/README.md. */
export const optionTypes = {
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  only: { type: 'string', default: '' },
  largest: { type: 'string' },
  short: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

export const help = `npm run bench -- [--rounds 3] [--seconds 2] [--only NAME] [--largest 1e6] [--short]

Measures the service beside its limits (bench/README.md). With --only, what has a name with this beginning: a method, or
Storm, Prices, Mail, Backlog, Streams, Import, Trail, Growth. With --short, a little of everything, without a meaning.
Others: npm run bench:peers, bench:capacity, bench:start, bench:compare, bench:timing, bench:soak.
`;

/** How much is measured. */
export interface Extent {
  readonly rounds: number;
  readonly seconds: number;
  /** Largest number of sessions of growth. */
  readonly largest: number;
  readonly mails: number;
  readonly backlog: number;
  readonly lines: number;
  readonly events: number;
  /** Streams that wait at once. */
  readonly streams: number;
  /** Logins that are confirmed one after another. */
  readonly logins: number;
}

const whole: Extent = {
  rounds: 3,
  seconds: 2,
  largest: 1e6,
  mails: 10_000,
  backlog: 600_000,
  lines: 50_000,
  events: 1e6,
  streams: 10_000,
  logins: 200,
};
/** Too little for results. It shows that everything runs. */
const short: Extent = {
  rounds: 1,
  seconds: 1,
  largest: 1e4,
  mails: 500,
  backlog: 5000,
  lines: 2000,
  events: 20_000,
  streams: 1000,
  logins: 10,
};

export interface Options extends Extent {
  /** The beginning of the names of what is measured. */
  readonly only: string;
  readonly isShort: boolean;
  readonly isHelp: boolean;
}

/** Throws for an unknown option. */
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
    isHelp: values.help,
  };
}
