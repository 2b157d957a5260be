"""What is drawn from data: SmartArt's labels, a chart's numbers, of any kind of chart."""

from lxml import etree

from ingest.parse import figures
from ingest.parse.blocks import Text, assemble

SPACES = (
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)


def text_of(element: str, parts: dict[str, str]) -> str:
    found = figures.read(etree.fromstring(element), lambda name: parts[name].encode() if name in parts else None)
    return assemble(Text(list(found)), fallback="x", parser="x").text


def test_smart_art_is_its_labels():
    data = (
        f"<dgm:dataModel {SPACES}><dgm:ptLst><dgm:pt type='doc'/><dgm:pt><dgm:t><a:p><a:r><a:t>Pl</a:t></a:r><a:r><a:t>an</a:t></a:r></a:p>"
        "</dgm:t></dgm:pt><dgm:pt type='sibTrans'><dgm:t><a:p/></dgm:t></dgm:pt><dgm:pt><dgm:t><a:p><a:r><a:t>Do</a:t></a:r></a:p>"
        "<a:p><a:r><a:t>it</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>"
    )

    assert text_of(f"<dgm:relIds {SPACES} r:dm='rId4' r:lo='rId5'/>", {"rId4": data}) == "Plan\nDo it"


def test_points_of_a_scatter_chart_are_rows():
    def points(name: str, *values: str) -> str:
        inside = "".join(f"<c:pt idx='{place}'><c:v>{value}</c:v></c:pt>" for place, value in enumerate(values) if value)
        return f"<c:{name}><c:numRef><c:f>Sheet1!A1</c:f><c:numCache><c:ptCount/>{inside}</c:numCache></c:numRef></c:{name}>"

    name = "<c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>Load</c:v></c:pt></c:strCache></c:strRef></c:tx>"
    chart = (
        f"<c:chartSpace {SPACES}><c:chart><c:title><a:p><a:r><a:t>By hour</a:t></a:r></a:p></c:title><c:plotArea><c:scatterChart>"
        f"<c:ser>{name}{points('xVal', '8', '9', '10')}{points('yVal', '0.5', '', '0.7')}</c:ser>"
        "</c:scatterChart></c:plotArea></c:chart></c:chartSpace>"
    )

    assert text_of(f"<c:chart {SPACES} r:id='rId2'/>", {"rId2": chart}) == "By hour\n\n | Load\n8 | 0.5\n9\n10 | 0.7"


def test_a_figure_without_its_data_says_nothing():
    assert text_of(f"<c:chart {SPACES} r:id='rId2'/>", {}) == ""
    assert text_of(f"<c:chart {SPACES}/>", {}) == ""
