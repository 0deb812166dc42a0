import { fchmodSync, openSync, writeSync } from 'node:fs';

/** The file with what is to be known of single lines: JSON lines, each with the number of a line of the import. */
export class Report {
  readonly path: string;
  #file: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  write(entry: { readonly line: number } & Readonly<Record<string, string | number>>): void {
    this.#file ??= this.#open();
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
  }

  // The report contains no addresses. Still, only the owner may read it, as with the import itself, also one that existed.
  #open(): number {
    const file = openSync(this.path, 'w', 0o600);
    fchmodSync(file, 0o600);
    return file;
  }
}
