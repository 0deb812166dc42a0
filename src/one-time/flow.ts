/** What belongs to a value beside its kind. */
export interface Flow {
  /** The browser that requested the value exchanges it with this (RFC 7636). */
  readonly challenge?: CodeChallenge | undefined;
  /** The address changes once the values of both mailboxes are used. */
  readonly needsApproval?: boolean | undefined;
  /** The address that a change leads to, as emailKey spells it: the consent to one change is not that to another. */
  readonly newAddress?: string | undefined;
  /** The name in `amr` of a session that is opened with the value. */
  readonly method?: string | undefined;
  /** The user was created with the value, by an invitation. */
  readonly isOfNewUser?: boolean | undefined;
  /** What the exchange of a code needs besides, encrypted. */
  readonly sealed?: string | undefined;
}

/** A code challenge of PKCE (RFC 7636). */
export interface CodeChallenge {
  readonly value: string;
  readonly method: 's256' | 'plain';
}
