import { readFileSync } from 'node:fs';
import { create, type DescField, type DescMessage, fromJson } from '@bufbuild/protobuf';
import { createValidator } from '@bufbuild/protovalidate';
import { describe, expect, test } from 'vitest';
import { entityOf } from '../../src/audit/draft.ts';
import { settings } from '../../src/config/schema.ts';
import { reasons } from '../../src/sdk/reasons.ts';
import { apiPage } from '../../tools/reference/api-page.ts';
import { nameOf, readContract } from '../../tools/reference/contract.ts';
import { errorsPage } from '../../tools/reference/errors-page.ts';
import { requestExample } from '../../tools/reference/examples.ts';
import { explanations } from '../../tools/reference/explanations.ts';
import { commonErrors, errorsOf, paragraphsOf, policyErrors, policyOf } from '../../tools/reference/method-errors.ts';
import { requestExamples } from '../../tools/reference/request-examples.ts';

const contract = readContract();
const { methods } = contract;
const commentOf = (method: (typeof methods)[number]) => contract.commentOf(`${method.parent.typeName}.${method.name}`);

describe('the pages', () => {
  const api = readFileSync('docs/api.md', 'utf8');
  const errors = readFileSync('docs/errors.md', 'utf8');

  test('are what npm run generate writes', () => {
    expect(api === apiPage(contract), 'docs/api.md').toBe(true);
    expect(errors === errorsPage(contract), 'docs/errors.md').toBe(true);
  });

  test('link to sections that exist', () => {
    const pages = { 'api.md': api, 'errors.md': errors };
    const anchors = Object.entries(pages).flatMap(([page, text]) =>
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => `${page}#${anchorOf(heading!)}`),
    );
    const links = Object.entries(pages).flatMap(([page, text]) =>
      [...text.matchAll(/\]\((api\.md|errors\.md)?(#[^)]+)\)/g)].map(([, file, anchor]) => `${file ?? page}${anchor}`),
    );
    expect(links.length).toBeGreaterThan(500);
    expect(links.filter((each) => !anchors.includes(each))).toEqual([]);
    expect(new Set(anchors).size, 'no heading twice').toBe(anchors.length);
  });

  test('have a section for every method and every reason', () => {
    for (const each of methods) expect(api).toContain(`\n### ${nameOf(each)}\n`);
    for (const each of reasons) expect(errors).toContain(`\n## ${each}\n`);
  });
});

describe('reasons', () => {
  test('are all documented in the protos, and given by a method', () => {
    const common = commonErrors(contract).map(({ reason }) => reason);
    const ofMethods = methods.flatMap((each) => {
      const { own, byPolicy } = errorsOf(contract, each);
      return [...own, ...byPolicy].map(({ reason }) => reason);
    });
    const documented = new Set([...common, ...ofMethods, 'SERVICE_NOT_FOUND']);
    expect(
      reasons.filter((each) => !documented.has(each)),
      'given by no method',
    ).toEqual([]);
    expect(
      [...documented].filter((each) => !(reasons as readonly string[]).includes(each)),
      'unknown',
    ).toEqual([]);
    expect(
      policyErrors(contract).filter(({ reason }) => !ofMethods.includes(reason)),
      'of no policy',
    ).toEqual([]);
    expect(contract.commentOf('gatehouse.v1.Policy')).toContain('SERVICE_NOT_FOUND');
  });

  test('include OVER_REQUEST_RATE_LIMIT where a method limits more than the calls of an address', () => {
    const limited = methods.filter((each) => {
      const { failureLimits, perSessionPerMinute, unknownCodesPerMinute } = policyOf(each);
      return failureLimits || perSessionPerMinute > 0 || unknownCodesPerMinute > 0;
    });
    expect(limited.map(nameOf)).toContain('SessionService.Refresh');
    const silent = limited.filter(
      (each) => !errorsOf(contract, each).own.some(({ reason }) => reason === 'OVER_REQUEST_RATE_LIMIT'),
    );
    expect(silent.map(nameOf)).toEqual([]);
  });

  test('are explained in words of the contract and of the settings', () => {
    const known = new Set([...reasons, ...Object.keys(settings)] as string[]);
    const texts = Object.values(explanations).flatMap(({ when, action }) => [when, action]);
    const words = texts.flatMap((each) => each.match(/\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b/g) ?? []);
    expect(words.length).toBeGreaterThan(3);
    expect(words.filter((each) => !known.has(each))).toEqual([]);
  });
});

describe('comments of the protos', () => {
  test('name settings in one paragraph, Depending on configuration', () => {
    const names = Object.keys(settings).filter((each) => each.includes('_'));
    const misplaced = methods.flatMap((method) =>
      paragraphsOf(commentOf(method))
        .filter((each) => !each.startsWith('Depending on configuration: '))
        .flatMap((each) => names.filter((name) => new RegExp(`\\b${name}\\b`).test(each)))
        .map((name) => `${nameOf(method)}: ${name}`),
    );
    expect(misplaced).toEqual([]);
    const errors = methods.flatMap((each) => errorsOf(contract, each).own);
    expect(errors.filter(({ sentence }) => names.some((name) => sentence.includes(name)))).toEqual([]);
  });

  test('begin with what they describe: a request message, a response message', () => {
    const wrong = methods.flatMap((method) => {
      const { input, output, name } = method;
      const text = (message: DescMessage) => contract.commentOf(message.typeName);
      const right = (kind: string) => new RegExp(`^${kind} message for ([A-Za-z]+\\.)?${name}[.:]`);
      return [
        ...(right('Request').test(text(input)) ? [] : [input.name]),
        ...(right('Response').test(text(output)) ? [] : [output.name]),
      ];
    });
    expect(wrong).toEqual([]);
  });

  test.each(methods.map((each) => [nameOf(each), each.input] as const))(
    'say which fields of %s are required, as the rules do',
    (_, input) => {
      for (const field of fieldsOf(input)) {
        const comment = contract.commentOf(`${field.parent.typeName}.${field.name}`);
        expect(comment, field.name).toMatch(/^(Required|Optional)\. /);
        if (isRequired(field)) expect(comment, field.name).toMatch(/^Required\. /);
      }
    },
  );

  test('list the actions of the audit trail', () => {
    const actions = Object.keys(entityOf);
    const listed = contract.commentOf('gatehouse.v1.AuditEvent.action').match(/(?<=`)[a-z_.]+(?=`)/g)!;
    expect(actions.length).toBeGreaterThan(40);
    expect(listed.toSorted()).toEqual(actions.toSorted());
  });
});

describe('examples', () => {
  test.each(methods.map((each) => [nameOf(each), each] as const))('show a valid request of %s', (_, method) => {
    const request = fromJson(method.input, requestExample(method));
    const { kind, violations = [] } = createValidator().validate(method.input, request);
    expect(violations.map((each) => each.toString())).toEqual([]);
    expect(kind).toBe('valid');
  });

  test('are of methods that exist', () => {
    expect(Object.keys(requestExamples).toSorted()).toEqual(methods.map(nameOf).toSorted());
  });
});

/** As GitHub makes the anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replaceAll(' ', '-');
}

/** The fields of a message that clients send, and of our messages within. */
function fieldsOf(message: DescMessage): DescField[] {
  return message.fields.flatMap((each) => {
    const inner = each.message?.typeName.startsWith('gatehouse.') ? fieldsOf(each.message) : [];
    return [each, ...inner];
  });
}

/** Whether the rules refuse a message that leaves the field out. */
function isRequired({ parent, name }: DescField): boolean {
  const { violations = [] } = createValidator().validate(parent, create(parent));
  return violations.some(({ field }) => field.some((each) => 'name' in each && each.name === name));
}
