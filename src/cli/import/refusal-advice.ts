const byReason: readonly [reason: RegExp, advice: string][] = [
  [/^email: Invalid/, 'addresses are ASCII here: change it in the old system, and import again'],
  [
    /^email: /,
    'one address is one user here: merge both users in the old system, or change an address, and import again',
  ],
  [/^id: .*(earlier line|user|guest)/, 'the id is taken: look both users up, and give one of them another id'],
  [/^id: /, 'the id has to be a UUID'],
  [/SQLSTATE/, 'the values do not fit together: import the user alone, and report the SQLSTATE'],
];

/** What can be done about a refused user of another system. */
export function adviceFor(reason: string): string {
  return byReason.find(([each]) => each.test(reason))?.[1] ?? 'the row is damaged: export it again, and import again';
}
