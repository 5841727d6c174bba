// Answers customers on the operator's pages in a real browser, and looks at each
// page with axe. Reads what people_browser_test.go says on standard input, and
// prints a line for each step; what is wrong ends it with exit code 1.
import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {join} from 'node:path'
import {chromium} from 'playwright-core'

const {browser: executablePath, operator, key, customers, stranger, shots} = JSON.parse(readFileSync(0, 'utf8'))
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const widths = {desktop: {width: 1280, height: 900}, phone: {width: 360, height: 780}}
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
let failures = 0

function wrong(where, what) {
	failures++
	console.error(`${where}: ${what}`)
}

async function wantPage(page, where, heading) {
	const got = await page.getByRole('heading', {level: 1}).innerText()
	if (got !== heading) wrong(where, `the heading is ${got}, want ${heading}`)
	// Tables may be wider than a phone, in a frame of their own (WCAG 2.2, 1.4.10).
	const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
	if (over > 0) wrong(where, `too wide by ${over}`)
	const address = page.url().slice(operator.length)
	if (!/^\/ops\/(people(\/[0-9a-f]+)?|inbound)(\?done=\w+)?$/.test(address)) wrong(where, `the address is ${address}`)
}

async function shot(page, name) {
	if (shots) await page.screenshot({path: join(shots, `${name}.png`), fullPage: true})
	console.log(name)
}

async function logIn(context) {
	const page = await context.newPage()
	await page.goto(operator + '/')
	await page.getByLabel('API key').fill(key)
	await page.keyboard.press('Enter')
	await page.getByLabel('Find a person').waitFor()
	return page
}

async function find(page, text) {
	await page.goto(operator + '/ops/people')
	await page.getByLabel('Find a person').fill(text)
	await Promise.all([page.waitForEvent('framenavigated'), page.keyboard.press('Enter')])
	await page.waitForLoadState()
}

// Without scripts: found by phone, a wish recorded and lifted, a reply dealt with.
async function answer(browser, width, {phone, name}) {
	const context = await browser.newContext({viewport: widths[width], javaScriptEnabled: false})
	const page = await logIn(context)
	const step = what => `people-${width}-${what}`
	await wantPage(page, step('search'), 'People')
	await shot(page, step('search'))

	await find(page, phone)
	await wantPage(page, step('person'), name)
	await page.getByLabel('Case number, if there is one').fill('4711')
	await page.keyboard.press('Enter') // records nothing: no wish was chosen
	await page.getByRole('button', {name: 'No marketing by e-mail'}).focus()
	await page.keyboard.press('Space')
	await page.getByRole('status').waitFor()
	await wantPage(page, step('wish'), name)
	const wish = page.getByRole('row', {name: /^No marketing by e-mail/})
	if (await page.locator('#wishes ~ .scroll tbody tr').count() !== 1) wrong(step('wish'), 'there is not one wish')
	if (!(await wish.innerText()).includes('case 4711')) wrong(step('wish'), 'the case is missing')
	await shot(page, step('wish'))

	await wish.getByText('Lift…').click()
	await wish.getByLabel('Case number').fill('4712')
	await wish.getByRole('button', {name: 'Lift this wish'}).click()
	await page.getByText('The wish is lifted.').waitFor()
	await wantPage(page, step('lifted'), name)

	await find(page, stranger)
	await wantPage(page, step('nobody'), 'People')
	await shot(page, step('nobody'))

	await page.getByRole('link', {name: 'Messages to read'}).click()
	await wantPage(page, step('inbound'), 'Messages to read')
	await shot(page, step('inbound'))
	await page.getByRole('button', {name: 'Objects to sms'}).first().click()
	await page.getByRole('status').waitFor()
	await wantPage(page, step('dealt'), 'Messages to read')
	await context.close()
}

// Each page by axe, which needs scripts and so a way around the pages' policy.
async function examine(browser, width, {phone}) {
	const context = await browser.newContext({viewport: widths[width], bypassCSP: true})
	const page = await logIn(context)
	const look = async what => {
		await page.evaluate(axe)
		const found = await page.evaluate(values => globalThis.axe.run({runOnly: {type: 'tag', values}}), rules)
		for (const v of found.violations) wrong(`${width} ${what}`, `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(' ').slice(0, 300)}`)
		console.log(`axe ${width} ${what}: ${found.passes.length} rules pass, ${found.violations.length} do not`)
	}
	await look('search')
	await find(page, phone)
	await page.getByRole('button', {name: 'No profiling'}).click()
	await page.getByRole('status').waitFor()
	for (const details of await page.locator('main details').all()) await details.evaluate(e => { e.open = true })
	await look('person, all of it open')
	await find(page, stranger)
	await look('nobody')
	await page.getByRole('link', {name: /^record a wish/}).click()
	await look('a bare key')
	await page.goto(operator + '/ops/inbound')
	await look('inbound')
	await context.close()
}

const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking']})
try {
	for (const [i, width] of Object.keys(widths).entries()) {
		await answer(browser, width, customers[i])
		await examine(browser, width, customers[i])
	}
} finally {
	await browser.close()
}
process.exitCode = failures ? 1 : 0
