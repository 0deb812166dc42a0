/** What has gone wrong: wrong responses, lost writes, and lines in the logs that must not be there. */
export class Findings {
  readonly violations: string[] = [];
  /** How often a line of level error or above was written, by its message. */
  readonly errors = new Map<string, number>();
  readonly stderrLines: string[] = [];

  violate(what: string): void {
    this.violations.push(what);
    process.stderr.write(`VIOLATION ${new Date().toISOString()} ${what}\n`);
  }

  stderr(line: string): void {
    this.stderrLines.push(line);
    process.stderr.write(`${line}\n`);
  }

  /** Returns the parsed line. */
  logLine(replica: string, line: string): Record<string, unknown> | undefined {
    let entry: Record<string, unknown>;
    try {
      entry = JSON.parse(line);
    } catch {
      // A killed process may leave half a line.
      return undefined;
    }
    const { code, level, msg, method } = entry;
    if (code === 'INTERNAL' || code === 'UNKNOWN') this.violate(`${replica} logged ${line}`);
    if (typeof level === 'number' && level >= 50) {
      const key = `${msg ?? method}`;
      this.errors.set(key, (this.errors.get(key) ?? 0) + 1);
      if (this.errors.get(key)! <= 3) process.stderr.write(`${replica}: ${line}\n`);
    }
    return entry;
  }
}
