import { besidePerturbed, counted, duration, figure, percent, whole } from '../format.js'
import type { Answers } from './answers.js'
import { type Content, type Html, html, name } from './html.js'
import type { Course } from './metrics.js'
import type { Run } from './read-run.js'

/** What the run was, how far it came, and its best figures. */
export function summary(run: Run, answers: Answers): Html {
  const course = 'value' in run.course ? run.course.value : undefined
  const configuration = 'value' in run.configuration ? run.configuration.value : undefined
  const recipe = configuration?.options.recipe
  return html`<header>
<p class="kind">semgen-native run${recipe !== undefined && html`, recipe ${String(recipe)}`}</p>
<h1>${name(run.name)}</h1>
<p class="state">${course ? state(course) : 'missing' in run.course && run.course.missing}</p>
${course && html`<div class="tiles">${tiles(course, answers)}</div>`}
</header>`
}

function state({ end, last, steps, seconds, resumes, started }: Course): string {
  if (!last) return 'Nothing was done yet.'
  const when = `begun ${moment(started ?? last.time)}${resumes.length > 0 ? `, resumed ${times(resumes.length)}` : ''}`
  const made = `${counted(last.step, 'step')} in ${duration(seconds)}, ${when}.`
  if (!end) {
    const heard = `Last heard of ${moment(last.time)}`
    return steps.length > 0
      ? `Unfinished: ${made} ${heard}: it is still running, or was ended from outside and can go on with --resume.`
      : `Unfinished: ${heard}, before its first step.`
  }
  const how = {
    finished: 'Finished:',
    patience: 'Finished early, as validation had stopped improving:',
    stopped: 'Stopped on request, can go on with --resume:',
    diverged: 'Diverged, the last good weights were kept:',
  }[end.reason]
  return [how, made, end.message].filter(Boolean).join(' ')
}

/** With its interval, where there is one. */
function tested({ cases, intervals }: NonNullable<Course['test']>): string {
  const [low, high] = intervals?.auc ?? []
  const between = low === undefined ? '' : `${figure(low)} to ${figure(high!)} (95 %), `
  return `${between}${counted(cases, 'case')} that nothing was chosen by`
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`)

/** 2026-11-23 14:05 UTC */
export const moment = (iso: string): string => `${new Date(iso).toISOString().slice(0, 16).replace('T', ' ')} UTC`

function tiles({ validations, steps, test, last }: Course, { accuracy, classes }: Answers): Html[] {
  const best = validations.findLast((event) => event.best) ?? validations.at(-1)
  const speed = steps.at(-1)?.cubesPerSecond
  const shown: (readonly [string, Content, Content] | false | undefined)[] = [
    best?.restoration !== undefined && [
      'restoration error',
      figure(best.restoration),
      best.perturbed && best.restoration > 0 && besidePerturbed(best.restoration, best.perturbed),
    ],
    best?.auc !== undefined && ['AUC', figure(best.auc), 'on held-out images'],
    best?.accuracy !== undefined && [
      accuracy,
      percent(best.accuracy),
      classes
        ? `${figure(Number((best.accuracy * classes).toPrecision(3)))} times chance among ${whole(classes)} classes`
        : best.balancedAccuracy !== undefined && `${percent(best.balancedAccuracy)} balanced, on held-out images`,
    ],
    best?.dice !== undefined && ['mean Dice', figure(best.dice), 'on whole held-out cases'],
    test?.auc !== undefined && ['AUC, test part', figure(test.auc), tested(test)],
    test?.dice !== undefined && ['mean Dice, test part', figure(test.dice), tested(test)],
    best && ['best validation', `step ${whole(best.step)}`, `${best.stage}, epoch ${whole(best.epoch)}`],
    speed !== undefined && ['speed', `${figure(speed)} cubes/s`, last && `at step ${whole(last.step)}`],
  ]
  return shown.flatMap((tile) =>
    tile
      ? [html`<div class="tile"><p class="label">${tile[0]}</p><p class="value">${tile[1]}</p><p>${tile[2]}</p></div>`]
      : [],
  )
}
