/** What to type for a command of this program, in the folder of package.json: messages, help and documents all say this. */
export function shellCommand(command: string): string {
  return `npm start -- ${command}`;
}
