/** A title and a text. */
export interface Notice {
  readonly title: string;
  readonly text: string;
}
