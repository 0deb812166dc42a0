import { globSync, readFileSync } from 'node:fs';
import path from 'node:path/posix';

export interface Import {
  /** A path like `src/errors.ts`, or the name of a package. */
  readonly target: string;
  /** Whether it is removed at run time. */
  readonly isType: boolean;
}

export interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

/** The files that match, with their imports. Comments are blanked out, so that prose breaks no rule. */
export function readSources(pattern: string): Source[] {
  return globSync(pattern)
    .sort()
    .map((file) => {
      const text = readFileSync(file, 'utf8');
      return { path: file, text: withoutComments(text), imports: importsOf(file, text) };
    });
}

const importPattern =
  /^(?:import|export)\s+(?<type>type\s)?(?<names>[^;'"]*?)\sfrom '(?<from>[^']+)'|\bimport\('(?<dynamic>[^']+)'\)|^import '(?<bare>[^']+)'/gm;

function importsOf(file: string, text: string): Import[] {
  return [...text.matchAll(importPattern)].map(({ groups = {} }) => {
    const specifier = groups.from ?? groups.dynamic ?? groups.bare!;
    const names = /^\{(.*)\}$/s.exec(groups.names?.trim() ?? '')?.[1];
    const each = names?.split(',').filter((name) => name.trim() !== '');
    return {
      target: specifier.startsWith('.') ? path.join(file, '..', specifier) : specifier,
      isType: groups.type !== undefined || (each?.every((name) => name.trim().startsWith('type ')) ?? false),
    };
  });
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<=^|[\s;{}(,])\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ' '));
}

export interface SourceFunction {
  readonly name: string;
  readonly line: number;
  /** Lines, without those of functions inside it. */
  readonly length: number;
}

/** The functions of a file that takes more than one line each, by the indentation that the formatter gives them. */
export function functionsOf({ text }: Source): SourceFunction[] {
  const lines = text.split('\n');
  const spans = lines.flatMap((line, start) => {
    const opening = /^( *)(?:(?!if|for|while|switch|else|return|catch|\})\S.*)?(?:\)|=>)[^()]*\{$/.exec(line);
    const isFunction =
      /\bfunction\b|=> \{$|^ *(?:(?:static|async|override|private|\*|get|set) ?)*[#\w]+(?:<.*>)?\(.*\{$|^ *\).*\{$/;
    if (!opening || !isFunction.test(line)) return [];
    const end = lines.findIndex((other, index) => index > start && other.startsWith(`${opening[1]}}`));
    return end < 0 ? [] : [{ start, end, line }];
  });
  return spans.map(({ start, end, line }) => {
    const inner = spans.filter((each) => each.start > start && each.end < end);
    const outermost = inner.filter((each) => !inner.some((other) => other.start < each.start && other.end > each.end));
    const nested = outermost.reduce((sum, each) => sum + each.end - each.start + 1, 0);
    return { name: line.trim(), line: start + 1, length: end - start + 1 - nested };
  });
}
