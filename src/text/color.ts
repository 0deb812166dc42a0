/** Black or white, whichever has more contrast with the color `#rrggbb` (WCAG 2.2, 1.4.3). */
export function onColor(color: string): '#000000' | '#ffffff' {
  // Where both have the same contrast.
  return luminanceOf(color) > 0.179 ? '#000000' : '#ffffff';
}

function luminanceOf(color: string): number {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
