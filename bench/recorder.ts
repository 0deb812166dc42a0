import type pg from 'pg';
import { Autocommit } from '../src/database/autocommit.ts';
import type { Sent } from './explain.ts';

/** Remembers the last statement that went through it. */
export class Recorder extends Autocommit {
  last: Sent = { text: '', values: [] };

  override send<Row extends pg.QueryResultRow>(
    name: string,
    text: string,
    valuesOf: () => readonly unknown[],
    isByIndex?: boolean,
  ): Promise<Row[]> {
    const remember = () => {
      const values = valuesOf();
      this.last = { text, values };
      return values;
    };
    return super.send(name, text, remember, isByIndex);
  }
}
