import type pg from 'pg';
import { Autocommit } from '../src/database/autocommit.ts';
import type { Sent } from './explain.ts';

/** Remembers the statements that went through it. */
export class Recorder extends Autocommit {
  #sent: Sent[] = [];

  /** The last statement. */
  get last(): Sent {
    return this.#sent.at(-1) ?? { text: '', values: [] };
  }

  /** The statements since the last call. */
  take(): Sent[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  override send<Row extends pg.QueryResultRow>(
    name: string,
    text: string,
    valuesOf: () => readonly unknown[],
    isByIndex?: boolean,
  ): Promise<Row[]> {
    const remember = () => {
      const values = valuesOf();
      this.#sent.push({ text, values });
      return values;
    };
    return super.send(name, text, remember, isByIndex);
  }
}
